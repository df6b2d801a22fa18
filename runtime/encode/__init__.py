"""From frames to files: encoders, segments, tracks, writers."""
