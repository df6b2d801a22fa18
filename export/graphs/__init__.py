"""Export of a network to graphs in each precision."""
