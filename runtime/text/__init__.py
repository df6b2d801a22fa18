"""Numbers, times and foreign text as people read them."""
