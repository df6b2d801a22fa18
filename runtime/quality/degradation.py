"""How LR pictures are made from HR pictures, once for a whole frame and without chance.

`bi`  MATLAB's bicubic with antialiasing: what most benchmarks mean by "x4".
`bd`  Gaussian blur, sigma 1.6 at x4, and every 4th pixel: Vid4, UDM10 and Vimeo-90K "BDx4".

`real` is drawn anew for every clip; `given` takes LR files as is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vsrc.runtime.picture.fast_resize import (
    Planes,
    bicubic_down,
    gaussian_down,
    gaussian_down_from_corner,
)
from vsrc.runtime.picture.likeness import decibels

Degrade = Callable[[Planes, int], Planes]
"""`(..., H, W)` uint8 and the scale to LR `(..., H/s, W/s)`."""

WHOLE_FRAME: dict[str, Degrade] = {"bi": bicubic_down, "bd": gaussian_down}

_KNOWN: dict[str, Degrade] = {
    **WHOLE_FRAME,
    "bd from the corner (DUF, RBPN)": gaussian_down_from_corner,
    "pixels dropped without a filter": lambda hr, scale: hr[..., ::scale, ::scale],
}

_SURE_DB = 45.0
"""Rounding and slightly different kernels stay above; another degradation stays below."""


@dataclass(frozen=True)
class Guess:
    """Which degradation made LR from HR.

    Attributes:
        name: The nearest one.
        psnr_db: Of LR made so against the LR that is there, RGB; infinite when equal to the bit.
        is_sure: Near enough to be it.
    """

    name: str
    psnr_db: float
    is_sure: bool

    def __str__(self) -> str:
        if np.isinf(self.psnr_db):
            return f"{self.name}, to the bit"
        what = self.name if self.is_sure else f"none that is known (nearest: {self.name})"
        return f"{what}, {self.psnr_db:.1f} dB"


def guess_degradation(hr: Planes, lr: Planes) -> Guess:
    """Compare LR with what each known degradation makes of HR.

    Args:
        hr: `(T, 3, H, W)` uint8.
        lr: `(T, 3, H/s, W/s)` uint8 of the same frames.

    Raises:
        ValueError: The sizes do not stand in an integer ratio.
    """
    scale = size_ratio(hr.shape[-2:], lr.shape[-2:])
    rows, columns = (size * scale for size in lr.shape[-2:])
    cropped = hr[..., :rows, :columns]
    scores = {name: _psnr(degrade(cropped, scale), lr) for name, degrade in _KNOWN.items()}
    name = max(scores, key=lambda name: scores[name])
    return Guess(name, scores[name], is_sure=scores[name] >= _SURE_DB)


def size_ratio(hr: tuple[int, ...], lr: tuple[int, ...]) -> int:
    """The integer scale of a pair of sizes (H, W); HR may be up to a scale larger.

    Raises:
        ValueError: There is none.
    """
    scale = hr[0] // lr[0]
    if scale < 1 or any(high // scale != low for high, low in zip(hr, lr, strict=True)):
        raise ValueError(
            f"HR {hr[1]}x{hr[0]} and LR {lr[1]}x{lr[0]} do not stand in an integer ratio"
        )
    return scale


def _psnr(made: Planes, given: Planes) -> float:
    return decibels(float(np.mean((made.astype(np.float64) - given) ** 2)))
