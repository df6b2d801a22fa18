"""Group frames into windows and tiles, run a session on them, and put the frames together."""
