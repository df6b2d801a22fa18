"""From frames to windows, tiles and a session, and back to frames."""
