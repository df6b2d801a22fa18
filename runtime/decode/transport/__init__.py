"""Bytes of transport streams: packets, the tables in them, where some are missing."""
