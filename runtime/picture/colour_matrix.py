"""The matrix between RGB and YUV samples, with ranges, as one affine map.

Formulas: ITU-T H.273, section 8.3, equations for MatrixCoefficients and VideoFullRangeFlag.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_KR_KB = {
    1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087),
    9: (0.2627, 0.0593), 10: (0.2627, 0.0593),
}  # fmt: skip
"""Weights of red and blue in luma, by code point of the matrix (H.273, table 4)."""


@dataclass(frozen=True, eq=False)
class Affine:
    """The affine map `out = matrix @ in + offset` of three samples.

    Attributes:
        matrix: `(3, 3)` float32.
        offset: `(3, 1)` float32.
    """

    matrix: NDArray[np.float32]
    offset: NDArray[np.float32]

    def __call__(self, samples: NDArray[np.float32], *, largest: int) -> NDArray[np.uint16]:
        """Map `(3, n)` samples to `(3, n)`, rounded and clipped to 0..largest."""
        out = self.matrix @ samples
        out += self.offset
        np.rint(out, out=out)
        np.clip(out, 0, largest, out=out)
        return out.astype(np.uint16)


def yuv_from_rgb(matrix: int, *, depth: int, is_full: bool, white: int) -> Affine:
    """Return the map from RGB to YUV.

    Args:
        matrix: Code point of the matrix.
        depth: Bits per sample of YUV.
        is_full: Whether YUV has full range.
        white: Largest value of RGB.
    """
    spans, zeros = _spans(depth, is_full=is_full)
    weights = _weights(matrix) * spans[:, None] / white
    return Affine(weights.astype(np.float32), zeros[:, None].astype(np.float32))


def rgb_from_yuv(matrix: int, *, depth: int, is_full: bool, white: int) -> Affine:
    """Return the map from YUV to RGB; arguments as for `yuv_from_rgb`."""
    spans, zeros = _spans(depth, is_full=is_full)
    weights = np.linalg.inv(_weights(matrix)) / spans * white
    offset = -(weights @ zeros)[:, None]
    return Affine(weights.astype(np.float32), offset.astype(np.float32))


def luma_span(depth: int, *, is_full: bool) -> tuple[int, int]:
    """Number of steps from black to white, and the code value of black."""
    step = 2 ** (depth - 8)
    return (2**depth - 1, 0) if is_full else (219 * step, 16 * step)


def _chroma_span(depth: int, *, is_full: bool) -> tuple[int, int]:
    """Number of steps over the range of a colour difference, and the code value of zero."""
    return (2**depth - 1 if is_full else 224 * 2 ** (depth - 8)), 2 ** (depth - 1)


def _weights(matrix: int) -> NDArray[np.float64]:
    """Matrix from R, G, B in [0, 1] to Y in [0, 1], U and V in [-0.5, 0.5]."""
    red, blue = _KR_KB[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    u = (np.array([0, 0, 1]) - luma) / (2 - 2 * blue)
    v = (np.array([1, 0, 0]) - luma) / (2 - 2 * red)
    return np.stack([luma, u, v])


def _spans(depth: int, *, is_full: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    luma, black = luma_span(depth, is_full=is_full)
    chroma, zero = _chroma_span(depth, is_full=is_full)
    return np.array([luma, chroma, chroma], float), np.array([black, zero, zero], float)
