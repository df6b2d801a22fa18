"""Loading of networks with their weights, by name or file."""
