"""Layers and arithmetic that several networks share."""
