"""Single-image networks, one file each."""
