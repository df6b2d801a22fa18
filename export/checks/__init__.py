"""Checks that graphs and engines must pass to be added to a package."""
