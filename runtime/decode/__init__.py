"""Read frames from files: sources, probing, decoding, scene cuts."""
