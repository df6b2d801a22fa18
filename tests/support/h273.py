"""RGB to YUV as the standards write it, in float."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Planes = list[NDArray[np.uint16]]

WEIGHTS = {
    1: (0.2126, 0.0722),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
"""Matrix code -> Kr and Kb: BT.709 section 3.2, BT.601 2.5.1, SMPTE 240M, BT.2020 table 4."""


def yuv_of(rgb: NDArray[np.float64], matrix: int, depth: int, full: bool) -> Planes:
    """H.273 (31) to (37) and (38) to (43): one expression each, as they stand there.

    Args:
        rgb: `(H, W, 3)` in [0, 1].
        matrix: Code of the coefficients.
        depth: Bits of a sample.
        full: Whether samples take the full range.

    Returns:
        Y, U and V, `(H, W)` each.
    """
    red, blue = WEIGHTS[matrix]
    r, g, b = np.moveaxis(rgb, -1, 0)
    y = red * r + (1 - red - blue) * g + blue * b
    u, v = (b - y) / (2 - 2 * blue), (r - y) / (2 - 2 * red)
    largest, unit = 2**depth - 1, 2 ** (depth - 8)
    if full:
        found = [y * largest, u * largest + 128 * unit, v * largest + 128 * unit]
    else:
        found = [unit * (219 * y + 16), unit * (224 * u + 128), unit * (224 * v + 128)]
    return [np.clip(np.round(plane), 0, largest).astype(np.uint16) for plane in found]
