"""Differences of quality as text: one sign everywhere, negative for a loss."""

from __future__ import annotations


def format_gain(gain_db: float, *, digits: int = 4) -> str:
    """Format a difference of PSNR with its sign: "-0.0185 dB" is a loss, "0.0000 dB" neither."""
    text = f"{gain_db:+.{digits}f}"
    return f"{text if float(text) else text[1:]} dB"
