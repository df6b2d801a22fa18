"""A latency profile: the time of graphs of several sizes, and what it predicts for others."""
