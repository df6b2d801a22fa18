"""Files of weights, read without trust, and layouts of others."""
