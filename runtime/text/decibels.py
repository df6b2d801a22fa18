"""PSNR, and differences of it, as text: the same sign and rounding everywhere."""

from __future__ import annotations

import math


def format_gain(gain_db: float) -> str:
    """Format a difference of PSNR with its sign: "-0.02 dB" is a loss, "+0.00 dB" neither."""
    return f"{round(gain_db, 2) + 0.0:+.2f} dB"  # -0.0 + 0.0 is 0.0


def format_psnr(psnr_db: float | None, *, digits: int = 1) -> str:
    """Format the PSNR between two images or videos: "52.1 dB", or "no difference".

    Args:
        psnr_db: PSNR, dB; infinite, or None as in JSON, for equal images.
        digits: Digits after the point.
    """
    is_equal = psnr_db is None or math.isinf(psnr_db)
    return "no difference" if is_equal else f"{psnr_db:.{digits}f} dB"
