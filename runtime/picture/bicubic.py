"""MATLAB's `imresize(..., 'bicubic')`, the standard degradation and baseline of super-resolution.

The kernel is Keys' cubic with a = -0.5. For downscaling the kernel is stretched by the inverse
scale (antialiasing), and images are padded symmetrically (the edge pixel is repeated). Bicubic in
Pillow, OpenCV and torch is a different filter: a network trained on one loses dBs on another.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def imresize(picture: NDArray[np.uint8], *, numerator: int, denominator: int) -> NDArray[np.uint8]:
    """Resize by `numerator / denominator`.

    Args:
        picture: Image, `(..., H, W, C)` uint8.
        numerator: Numerator of the scale: 4 upscales by 4.
        denominator: Denominator of the scale: 4 downscales by 4.

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
    # Values of exactly n + 0.5 may come out a rounding error below: add a small offset.
    return np.clip(np.floor(sums + (0.5 + 1e-9)), 0, 255).astype(np.uint8)


def downscale(picture: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """Downscale as degradation `bi`: `(..., H, W, C)` to `(..., H/s, W/s, C)`."""
    return imresize(picture, numerator=1, denominator=scale)


def upscale(picture: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """Upscale by bicubic interpolation, the baseline that every network is compared with."""
    return imresize(picture, numerator=scale, denominator=1)


@lru_cache(maxsize=64)
def resize_matrix(size: int, *, numerator: int, denominator: int) -> NDArray[np.float64]:
    """Return the weights of one pass: `(ceil(size * scale), size)`, each row sums to 1.

    Args:
        size: Length of the axis, pixels.
        numerator: Numerator of the scale.
        denominator: Denominator of the scale.
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
