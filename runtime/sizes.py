"""Fit pictures of any size to a network that wants multiples or a least size."""

from __future__ import annotations

import numpy as np

from vsrc.runtime.pixels import Pixels


def pad_to_fit(lr: Pixels, *, multiple: int, least: tuple[int, int] = (1, 1)) -> Pixels:
    """Reflect at the bottom and right edge until H and W fit.

    Args:
        lr: `(N, T, H, W, 3)`.
        multiple: What H and W of the result are multiples of.
        least: Smallest H and W of the result.
    """
    height, width = lr.shape[2:4]
    bottom, right = (
        -(-max(size, low) // multiple) * multiple - size
        for size, low in zip((height, width), least, strict=True)
    )
    if not bottom and not right:
        return lr
    # A picture narrower than its padding cannot be mirrored without its edge pixel (1 pixel wide:
    # there is nothing to mirror); `symmetric` repeats the edge and works for every size.
    pairs = ((0, 0), (0, 0), (0, bottom), (0, right), (0, 0))
    if bottom < height and right < width:
        return np.pad(lr, pairs, mode="reflect")
    return np.pad(lr, pairs, mode="symmetric")
