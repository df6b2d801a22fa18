"""How fast a network is here: bench and latency profiles."""
