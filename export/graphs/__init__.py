"""From a network to graphs in each precision."""
