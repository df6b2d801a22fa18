"""Named features of a network, and a network on every frame of a clip."""
