"""Frame samples of 8 and 16 bits.

A frame is uint8, 0..255, unless its source has more than 8 bits and the graph takes float tensors:
then it is uint16, 0..65535. Both ranges are from black to white.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.unsignedinteger[Any]]
"""uint8 or uint16."""

WHITE_16 = 65535


def to_8_bits(pixels: Pixels) -> NDArray[np.uint8]:
    """Convert samples to uint8 with rounding; uint8 samples are returned unchanged."""
    if pixels.dtype == np.uint8:
        return np.asarray(pixels, dtype=np.uint8)
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def to_16_bits(pixels: Pixels) -> NDArray[np.uint16]:
    """Convert samples to uint16, scaled so that 255 becomes 65535."""
    if pixels.dtype == np.uint16:
        return np.asarray(pixels, dtype=np.uint16)
    return pixels.astype(np.uint16) * np.uint16(257)


Pixels8 = NDArray[np.uint8]
"""Images or frames of 8 bits."""
