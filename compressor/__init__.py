"""Teacher to student: networks, objectives, data and trainer (torch)."""
