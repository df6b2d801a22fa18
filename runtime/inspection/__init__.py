"""Inspect files (`vsrc inspect`) and diagnose the installation (`vsrc doctor`)."""
