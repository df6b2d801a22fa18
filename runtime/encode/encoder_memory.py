"""Memory that an encoder holds once its lookahead is full, from measurements.

docs/results/memory.md has the table that the numbers are fitted to, and how well they fit.
"""

from __future__ import annotations

import math

from vsrc.runtime.encode.encoders import ENCODERS

_OF_A_MEGAPIXEL = 290e6
"""Bytes of x264 (preset medium, 8 threads) for frames of 10^6 pixels."""

_EXPONENT = 0.88
"""Larger frames cost less a pixel: their margins are a smaller part."""

_LEAST_OF_PIXEL = 180.0
"""Bytes a pixel below which the power law is not followed, beyond the measured sizes."""

_RELATIVE = {"x264": 1.0, "x265": 1.0, "vp9": 1.0, "av1": 1.5, "prores": 0.15, "ffv1": 0.15}
"""Memory of other encoders, relative to x264's; what was not measured counts as x264."""

_DEEP = 1.6
"""Memory for more than 8 bits, relative to 8."""


def encoder_bytes(codec: str, *, pixels: int, depth: int = 8) -> float:
    """Return the memory of an encoder and of the one that writes the header, bytes.

    Args:
        codec: Short name or FFmpeg's name of the encoder.
        pixels: Pixels of a frame of the result.
        depth: Bits per sample.
    """
    names = {encoder.name: short for short, encoder in ENCODERS.items()}
    relative = _RELATIVE.get(names.get(codec, codec), 1.0) * (_DEEP if depth > 8 else 1.0)
    of_x264 = max(_OF_A_MEGAPIXEL * math.pow(pixels / 1e6, _EXPONENT), _LEAST_OF_PIXEL * pixels)
    return relative * of_x264
