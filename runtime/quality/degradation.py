"""Deterministic degradations that make LR frames from HR frames.

`bi`  MATLAB's bicubic with antialiasing: what most benchmarks mean by "x4".
`bd`  Gaussian blur, sigma 1.6 at x4, and every 4th pixel: Vid4, UDM10 and Vimeo-90K "BDx4".

`real` is drawn at random for every clip; `given` uses LR files unchanged.
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
"""Function of HR `(..., H, W)` uint8 and the scale s that returns LR `(..., H/s, W/s)`."""

WHOLE_FRAME: dict[str, Degrade] = {"bi": bicubic_down, "bd": gaussian_down}

_KNOWN: dict[str, Degrade] = {
    **WHOLE_FRAME,
    "bd from the corner (DUF, RBPN)": gaussian_down_from_corner,
    "pixels dropped without a filter": lambda hr, scale: hr[..., ::scale, ::scale],
}

_SURE_DB = 45.0
"""PSNR in dB: rounding and slightly different kernels stay above, other degradations below."""


@dataclass(frozen=True)
class Guess:
    """Estimate of the degradation that made LR from HR.

    Attributes:
        name: Name of the closest known degradation.
        psnr_db: PSNR of LR made by it against the given LR, RGB, dB; infinite if bit-exact.
        is_sure: Whether the PSNR is high enough to identify the degradation.
    """

    name: str
    psnr_db: float
    is_sure: bool

    def __str__(self) -> str:
        if np.isinf(self.psnr_db):
            return f"{self.name}, bit-exact"
        what = self.name if self.is_sure else f"unknown (nearest: {self.name})"
        return f"{what}, {self.psnr_db:.1f} dB"


def guess_degradation(hr: Planes, lr: Planes) -> Guess:
    """Compare LR with the output of each known degradation of HR.

    Args:
        hr: `(T, 3, H, W)` uint8.
        lr: `(T, 3, H/s, W/s)` uint8 of the same frames.

    Raises:
        ValueError: The sizes do not have an integer size ratio.
    """
    scale = size_ratio(hr.shape[-2:], lr.shape[-2:])
    rows, columns = (size * scale for size in lr.shape[-2:])
    cropped = hr[..., :rows, :columns]
    scores = {name: _psnr(degrade(cropped, scale), lr) for name, degrade in _KNOWN.items()}
    name = max(scores, key=lambda name: scores[name])
    return Guess(name, scores[name], is_sure=scores[name] >= _SURE_DB)


def size_ratio(hr: tuple[int, ...], lr: tuple[int, ...]) -> int:
    """Compute the integer scale of a pair of sizes (H, W); HR may have up to s - 1 extra pixels.

    Raises:
        ValueError: There is none.
    """
    scale = hr[0] // lr[0]
    if scale < 1 or any(high // scale != low for high, low in zip(hr, lr, strict=True)):
        raise ValueError(
            f"HR {hr[1]}x{hr[0]} and LR {lr[1]}x{lr[0]} do not have an integer size ratio"
        )
    return scale


def _psnr(made: Planes, given: Planes) -> float:
    return decibels(float(np.mean((made.astype(np.float64) - given) ** 2)))
