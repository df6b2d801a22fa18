"""Frames of clips: of image sequences, LMDBs, and excerpts of videos."""
