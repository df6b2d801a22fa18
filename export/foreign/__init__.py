"""Graphs that other programs wrote: what they take, and how they become graphs of a package."""
