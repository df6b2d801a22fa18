"""Multi-frame networks, one file each."""
