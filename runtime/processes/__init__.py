"""Child processes, and how processes are stopped."""
