"""Features of a network by name, and networks applied to every frame of a clip."""
