"""Latency profiles of the `edge` family, measured on a device."""
