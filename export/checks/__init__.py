"""Whether a graph or an engine may become part of a package."""
