"""Measure the speed of networks on this machine: `vsrc bench` and latency profiles."""
