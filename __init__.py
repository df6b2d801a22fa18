"""vsrc: compress, export and run video super-resolution networks on edge devices."""

__version__ = "0.1.0"
