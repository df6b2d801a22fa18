"""An excerpt of a video through several models, for `vsrc preview`."""
