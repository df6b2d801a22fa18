"""Numbers of things as text."""

from __future__ import annotations


def count_text(number: int, noun: str) -> str:
    """Format a number of things: "1 thread", "2 threads"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
