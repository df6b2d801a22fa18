"""Components of reports: distributions, intervals, charts and pages."""
