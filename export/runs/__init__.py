"""Runs of `vsrc export`: graphs, all precisions, engines, and reports."""
