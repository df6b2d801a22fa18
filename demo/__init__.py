"""The whole way from a teacher to a bigger video, on the clip that comes with vsrc."""
