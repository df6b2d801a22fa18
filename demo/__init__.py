"""Demo of the complete workflow, from teacher to upscaled video, on the shipped sample clip."""
