"""Metrics that process a clip frame by frame, and their protocol."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from vsrc.runtime.picture.likeness import SSIM_WINDOW, psnr, ssim
from vsrc.runtime.pixels import Pixels8
from vsrc.runtime.quality.eval_report import MetricValues, mean_values


class Metric(Protocol):
    """Measures one clip."""

    def add(self, sr: Pixels8, truth: Pixels8, /) -> None:
        """Add the next SR frame and the true one, `(H, W, 3)` uint8 RGB, the same size."""

    def result(self) -> MetricValues:
        """Return the values of the clip; the names do not depend on the clip."""


@dataclass(frozen=True)
class MetricKind:
    """A kind of metric.

    Attributes:
        protocol: How it is computed, one sentence.
        create: Creates a metric for a clip, given the border in pixels.
        check: Raises if a dependency is not installed; called before the work.
    """

    protocol: str
    create: Callable[[int], Metric]
    check: Callable[[], None] = lambda: None


class Psnr:
    """PSNR of Y and of RGB: the mean of the frames' decibels, as papers report it."""

    def __init__(self, border: int) -> None:
        self._border = border
        self._frames: list[MetricValues] = []

    def add(self, sr: Pixels8, truth: Pixels8) -> None:
        """Take the next pair; see `Metric`."""
        values = {
            "psnr_y": psnr(sr, truth, border=self._border),
            "psnr_rgb": psnr(sr, truth, y_only=False, border=self._border),
        }
        # Equal frames have no finite PSNR; any number in its place would be arbitrary.
        self._frames.append({k: None if math.isinf(v) else v for k, v in values.items()})

    def result(self) -> MetricValues:
        """See `Metric`."""
        return mean_values(self._frames)


class Ssim:
    """SSIM of Y and of RGB, mean over the frames."""

    def __init__(self, border: int) -> None:
        self._border = border
        self._frames: list[MetricValues] = []

    def add(self, sr: Pixels8, truth: Pixels8) -> None:
        """Take the next pair; see `Metric`."""
        if min(truth.shape[:2]) - 2 * self._border < SSIM_WINDOW:
            self._frames.append({"ssim_y": None, "ssim_rgb": None})
            return
        self._frames.append(
            {
                "ssim_y": ssim(sr, truth, border=self._border),
                "ssim_rgb": ssim(sr, truth, y_only=False, border=self._border),
            }
        )

    def result(self) -> MetricValues:
        """See `Metric`."""
        return mean_values(self._frames)


FIDELITY = {
    "psnr": MetricKind(
        "PSNR: peak 255, 8-bit output; Y of BT.601 (16..235, not rounded) and RGB; mean of the "
        "frames' dB",
        Psnr,
    ),
    "ssim": MetricKind(
        "SSIM: 11x11 Gaussian of sigma 1.5, valid windows only, of the same Y and RGB; mean over "
        "the frames",
        Ssim,
    ),
}
