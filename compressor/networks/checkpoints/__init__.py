"""Safe reading of weight files, and conversion of foreign layouts."""
