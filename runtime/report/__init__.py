"""What reports are made of: distributions, intervals, charts and pages."""
