"""MATLAB's `imresize(..., 'bicubic')`, which super-resolution degrades with and is compared with.

The kernel is Keys' cubic with a = -0.5. When a picture is made smaller the kernel is stretched by
the inverse scale (antialiasing), and beyond the edge the picture is mirrored with its edge pixel
repeated. Pillow's, OpenCV's and torch's bicubic are other filters: a network taught on one loses
dBs on another.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def imresize(picture: NDArray[np.uint8], *, numerator: int, denominator: int) -> NDArray[np.uint8]:
    """Resize by `numerator / denominator`.

    Args:
        picture: `(..., H, W, C)` uint8.
        numerator: Of the scale: 4 enlarges fourfold.
        denominator: Of the scale: 4 reduces to a quarter.

    Returns:
        `(..., ceil(H * scale), ceil(W * scale), C)` uint8; both passes in double precision, rounded
        once (half away from zero) and clipped.
    """
    if picture.dtype != np.uint8 or picture.ndim < 3:
        raise ValueError(
            f"picture is {picture.dtype} {picture.shape}; expected uint8 (..., H, W, C)"
        )
    height, width, channels = picture.shape[-3:]
    rows = resize_matrix(height, numerator=numerator, denominator=denominator)
    columns = resize_matrix(width, numerator=numerator, denominator=denominator)
    flat = picture.astype(np.float64).reshape(*picture.shape[:-2], width * channels)
    tall = (rows @ flat).reshape(*picture.shape[:-3], len(rows), width, channels)
    sums = columns @ tall
    # What is exactly half in exact arithmetic comes out a rounding error away from it: nudge it up.
    return np.clip(np.floor(sums + (0.5 + 1e-9)), 0, 255).astype(np.uint8)


def downscale(picture: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """The LR picture of degradation `bi`: `(..., H, W, C)` to `(..., H/s, W/s, C)`."""
    return imresize(picture, numerator=1, denominator=scale)


def upscale(picture: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """The bicubic enlargement that every network is compared with."""
    return imresize(picture, numerator=scale, denominator=1)


@lru_cache(maxsize=64)
def resize_matrix(size: int, *, numerator: int, denominator: int) -> NDArray[np.float64]:
    """Weights of one pass: `(ceil(size * scale), size)`, each row sums to 1.

    Args:
        size: Length of the axis, pixels.
        numerator: Of the scale.
        denominator: Of the scale.
    """
    scale = numerator / denominator
    length = -(-size * numerator // denominator)
    stretch = min(scale, 1.0)  # below 1 the kernel is widened: antialiasing
    support = int(np.ceil(4 / stretch)) + 2
    centre = (np.arange(length) + 0.5) / scale - 0.5
    first = np.floor(centre - 2 / stretch).astype(np.int64)
    taps = first[:, None] + np.arange(support)
    weights = stretch * _cubic(stretch * (centre[:, None] - taps))
    weights /= weights.sum(axis=1, keepdims=True)
    mirrored = np.concatenate([np.arange(size), np.arange(size)[::-1]])
    matrix = np.zeros((length, size))
    np.add.at(matrix, (np.arange(length)[:, None], mirrored[taps % (2 * size)]), weights)
    matrix.setflags(write=False)  # it is shared by every caller
    return matrix


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' kernel, a = -0.5 (Keys 1981, equation 15)."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))
