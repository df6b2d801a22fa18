"""The latency of an `edge` student from its widths and depth, learnt from those measured.

A student is a handful of 3x3 convolutions, so its time is a sum of what each part costs, with
factors that are never negative:

    constant + encoder + fusion + blocks x (arithmetic + traffic) + tail

Vector units make some widths dearer than their count says: 24 channels may take as long as 32. So
channels are rounded up to a step, the one of 1, 4, 8, 16 and 32 that predicts left-out points best.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.latency.edge_size import EdgeSize

LEAST_POINTS = 4
"""Fewer sizes do not tell widths and depth apart."""

_STEPS = (1, 4, 8, 16, 32)
Measured = Sequence[tuple[EdgeSize, float]]


@dataclass(frozen=True)
class LeftOut:
    """How well each size is predicted from all others, at one shape; errors are fractions.

    Attributes:
        height_px: Rows of an LR frame.
        width_px: Columns of an LR frame.
        points: Number of sizes.
        median: Half of the errors are smaller.
        largest: Of all; the sizes at the edge of what was measured are predicted worst.
    """

    height_px: int
    width_px: int
    points: int
    median: float
    largest: float

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of an LR frame."""
        return self.height_px, self.width_px


@dataclass(frozen=True)
class LatencyFit:
    """Factors of the sum; see the head of this file.

    Attributes:
        factors: Of each column, ms.
        step: Channels are rounded up to multiples of it.
        scale: SR/LR side ratio.
        window: Frames fed at once.
    """

    factors: tuple[float, ...]
    step: int
    scale: int
    window: int

    def latency_ms(self, size: EdgeSize) -> float:
        """Median latency of a size, ms."""
        row = _costs(size, step=self.step, scale=self.scale, window=self.window)
        return float(np.dot(row, self.factors))


def fit_latency(measured: Measured, *, scale: int, window: int) -> LatencyFit | None:
    """Learn from measured sizes, or None if there are too few."""
    if len(measured) < LEAST_POINTS:
        return None
    step = min(_STEPS, key=lambda step: float(np.median(_errors(measured, step, scale, window))))
    return _fit(measured, step=step, scale=scale, window=window)


def left_out(
    measured: Measured, shape: tuple[int, int], *, scale: int, window: int
) -> LeftOut | None:
    """Predict each size from all others; None if there are too few of them.

    The step is chosen anew without the size in question, so nothing of it is known.
    """
    if len(measured) <= LEAST_POINTS:
        return None
    errors = []
    for index, (size, truth_ms) in enumerate(measured):
        others = [*measured[:index], *measured[index + 1 :]]
        fit = fit_latency(others, scale=scale, window=window)
        assert fit is not None
        errors.append(abs(fit.latency_ms(size) / truth_ms - 1))
    return LeftOut(*shape, len(errors), float(np.median(errors)), max(errors))


def _errors(measured: Measured, step: int, scale: int, window: int) -> list[float]:
    errors = []
    for index, (size, truth_ms) in enumerate(measured):
        others = [*measured[:index], *measured[index + 1 :]]
        fitted = _fit(others, step=step, scale=scale, window=window).latency_ms(size)
        errors.append(abs(fitted / truth_ms - 1))
    return errors


def _fit(measured: Measured, *, step: int, scale: int, window: int) -> LatencyFit:
    sums = np.array([_costs(size, step=step, scale=scale, window=window) for size, _ in measured])
    truth_ms = np.array([latency_ms for _, latency_ms in measured])
    # Rows divided by the truth: it is the relative error that is least.
    factors = _non_negative(sums / truth_ms[:, None], np.ones(len(measured)))
    return LatencyFit(tuple(map(float, factors)), step, scale, window)


def _costs(size: EdgeSize, *, step: int, scale: int, window: int) -> NDArray[np.float64]:
    """The columns of the sum: thousands of multiply-accumulates, or values moved, per pixel."""

    def up(channels: int) -> int:
        return math.ceil(channels / step) * step

    encoded, features, blocks = size.encoded, size.features, size.blocks
    columns = (
        1.0,
        window * 27 * up(encoded),
        9 * up(window * encoded) * up(features),
        9 * up(features) ** 2 * blocks,
        100 * up(features) * blocks,
        9 * up(features) * up(3 * scale * scale),
    )
    return np.array(columns, dtype=np.float64) / [1, *[1000.0] * 5]


def _non_negative(rows: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least squares with factors that are not negative: the best of all sets of columns.

    Six columns have 63 sets: to try them is exact. A part of a set that came out without a
    negative factor cannot be better than the whole of it, so parts are not tried.
    """
    count = rows.shape[1]
    best, least = np.zeros(count), math.inf
    done: list[set[int]] = []
    for size in range(count, 0, -1):
        for columns in itertools.combinations(range(count), size):
            if any(done_one.issuperset(columns) for done_one in done):
                continue
            solution, *_ = np.linalg.lstsq(rows[:, columns], target, rcond=None)
            if solution.min() < 0:
                continue
            done.append(set(columns))
            error = float(np.square(rows[:, columns] @ solution - target).sum())
            if error < least:
                best, least = np.zeros(count), error
                best[list(columns)] = solution
    return best
