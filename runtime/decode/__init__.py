"""From files to frames: sources, probing, decoding, cuts."""
