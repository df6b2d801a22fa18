"""Which clips to feed, and the ranges of activations found by feeding them."""
