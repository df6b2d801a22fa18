"""Networks of several frames, one file each."""
