"""Spans of time as text for people."""

from __future__ import annotations


def format_span(seconds: float) -> str:
    """Format a span of time with its two largest units: "3.2 s", "2 min 05 s", "1 h 10 min".

    Args:
        seconds: Length of the span, 0 or more.
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{round(seconds / 86400)} days"
