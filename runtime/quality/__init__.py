"""Measure the quality of upscaled frames: metrics, `vsrc eval` and `vsrc compare`."""
