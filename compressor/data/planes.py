"""Resize and blur planar uint8 pictures `(..., H, W)` fast, rounded once.

Every operation is two passes of a short row of weights. The passes gather rows, so the second one
works on the transposed picture; sums are in double precision, which makes them exact for scales
that are powers of two.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from vsrc.runtime.bicubic import resize_matrix

Planes = NDArray[np.uint8]

_HALF = 0.5 + 1e-9
"""Rounds what is half in exact arithmetic up, though the sum came out a little below it."""


def bicubic_down(planes: Planes, scale: int) -> Planes:
    """MATLAB's `imresize(..., 1/scale)`: to the bit what `vsrc.runtime.bicubic.downscale` gives.

    Args:
        planes: `(..., H, W)` uint8.
        scale: Integer reduction.

    Returns:
        `(..., ceil(H / scale), ceil(W / scale))` uint8.
    """
    return _both_axes(
        planes, _bicubic_taps(planes.shape[-2], scale), _bicubic_taps(planes.shape[-1], scale)
    )


def shrink(planes: Planes, *, height: int, width: int) -> Planes:
    """Bicubic with antialiasing to any smaller size; unlike MATLAB's at the very border.

    Args:
        planes: `(C, H, W)` uint8.
        height: Of the result, pixels.
        width: Of the result, pixels.
    """
    floats = torch.from_numpy(planes).to(torch.float32)[None]
    resized = F.interpolate(floats, (height, width), mode="bicubic", antialias=True)[0]
    return resized.round_().clamp_(0, 255).to(torch.uint8).numpy()


Taps = tuple[NDArray[np.int64], NDArray[np.float64]]
"""For one axis: which inputs, and their weights; both `(taps, outputs)`."""


def _both_axes(planes: Planes, rows: Taps, columns: Taps) -> Planes:
    tall = _weighted_rows(planes, rows)
    sums = _weighted_rows(np.ascontiguousarray(tall.swapaxes(-1, -2)), columns)
    sums += _HALF
    np.clip(np.floor(sums, out=sums), 0, 255, out=sums)
    return np.ascontiguousarray(sums.swapaxes(-1, -2), dtype=np.uint8)


def _weighted_rows(
    planes: NDArray[np.uint8] | NDArray[np.float64], taps: Taps
) -> NDArray[np.float64]:
    indices, weights = taps
    sums = np.zeros((*planes.shape[:-2], indices.shape[1], planes.shape[-1]))
    for index, weight in zip(indices, weights, strict=True):
        sums += planes[..., index, :] * weight[:, None]
    return sums


@lru_cache(maxsize=64)
def _bicubic_taps(size: int, scale: int) -> Taps:
    matrix = resize_matrix(size, numerator=1, denominator=scale)
    used = int((matrix != 0).sum(axis=1).max())
    indices = np.sort(np.argsort(matrix == 0, axis=1, kind="stable")[:, :used], axis=1)
    return indices.T.copy(), np.take_along_axis(matrix, indices, axis=1).T.copy()
