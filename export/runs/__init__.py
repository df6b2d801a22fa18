"""What `vsrc export` does: graphs, all precisions, engines, and what it reports."""
