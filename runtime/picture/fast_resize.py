"""Downscale planar uint8 images `(..., H, W)` fast, rounded once.

Every operation is separable, with a few taps per axis. The passes gather rows, so the second one
works on the transposed image; sums are in double precision, which makes them exact for scales that
are powers of two.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.picture.bicubic import resize_matrix

Planes = NDArray[np.uint8]

Taps = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Filter of one axis: input indices and weights, both `(taps, outputs)`."""

_HALF = 0.5 + 1e-9
"""Offset so that values of exactly n + 0.5 round up despite rounding errors of the sum."""


def bicubic_down(planes: Planes, scale: int) -> Planes:
    """Downscale as MATLAB's `imresize(..., 1/scale)`; bit-exact with `bicubic.downscale`.

    Args:
        planes: Image planes, `(..., H, W)` uint8.
        scale: Integer downscaling factor.

    Returns:
        `(..., ceil(H / scale), ceil(W / scale))` uint8.
    """
    rows, columns = (_bicubic_taps(size, scale) for size in planes.shape[-2:])
    return _both_axes(planes, rows, columns)


def gaussian_down(planes: Planes, scale: int) -> Planes:
    """Blur by a Gaussian of sigma 0.4 * scale with replicated edges; take every `scale`-th pixel.

    At x4 this is sigma 1.6 and how the commonly distributed BDx4 files of Vid4, UDM10 and Vimeo-90K
    were made: `fspecial('gaussian', 12, 1.6)` with 'replicate', then `(2:4:end)`. The even kernel
    is centred between pixels, so LR and HR stay aligned, as with `bi`.
    """
    sigma = 0.4 * scale
    reach = int(np.ceil(3 * sigma)) + (0.5 if scale % 2 == 0 else 0.0)
    offset = (scale - 1) / 2
    rows, columns = (
        _gaussian_taps(size, scale, sigma=sigma, reach=reach, offset=offset, mirror=False)
        for size in planes.shape[-2:]
    )
    return _both_axes(planes, rows, columns)


def gaussian_down_from_corner(planes: Planes, scale: int) -> Planes:
    """Downscale by the other BD variant: 13 x 13, sigma 0.4 * scale, reflected edges, from pixel 0.

    DUF, RBPN and SOF-VSR use it. Its LR is shifted relative to that of `gaussian_down` by
    (scale - 1) / 2 HR pixels, so a network trained on one loses dBs on the other.
    """
    rows, columns = (
        _gaussian_taps(size, scale, sigma=0.4 * scale, reach=6, offset=0, mirror=True)
        for size in planes.shape[-2:]
    )
    return _both_axes(planes, rows, columns)


def _both_axes(planes: Planes, rows: Taps, columns: Taps) -> Planes:
    tall = _weigh_rows(planes, rows)
    sums = _weigh_rows(np.ascontiguousarray(tall.swapaxes(-1, -2)), columns)
    sums += _HALF
    np.clip(np.floor(sums, out=sums), 0, 255, out=sums)
    return np.ascontiguousarray(sums.swapaxes(-1, -2), dtype=np.uint8)


def _weigh_rows(planes: NDArray[np.uint8] | NDArray[np.float64], taps: Taps) -> NDArray[np.float64]:
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


@lru_cache(maxsize=64)
def _gaussian_taps(
    size: int, scale: int, *, sigma: float, reach: float, offset: float, mirror: bool
) -> Taps:
    """Return Gaussian weights around the centres `offset + scale * i`.

    Args:
        size: Length of the axis, pixels.
        scale: Distance of the centres, pixels.
        sigma: Standard deviation of the Gaussian, pixels.
        reach: Radius of the kernel, pixels.
        offset: First centre, pixels.
        mirror: Whether to pad by reflection; otherwise the edge pixel is repeated.
    """
    distances = np.arange(-reach, reach + 1)
    weights = np.exp(-(distances**2) / (2 * sigma**2))
    weights /= weights.sum()
    centres = np.arange(offset, size, scale)
    places = (centres + distances[:, None]).astype(np.int64)
    inside = _mirror(places, size) if mirror else np.clip(places, 0, size - 1)
    return inside, np.repeat(weights[:, None], len(centres), axis=1)


def _mirror(places: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    period = max(2 * (size - 1), 1)
    return np.minimum(places % period, -places % period)
