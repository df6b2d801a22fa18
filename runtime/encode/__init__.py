"""Write frames to files: encoders, segments, tracks, writers."""
