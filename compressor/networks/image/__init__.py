"""Networks of one picture, one file each."""
