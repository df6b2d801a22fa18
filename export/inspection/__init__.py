"""Inspection of files: packages, graphs, engines, weights, media."""
