"""Latency profiles: made networks of the `edge` family, measured on a device."""
