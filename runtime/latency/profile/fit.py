"""Predict the latency of an `edge` student from its widths and depth by a fit to measured sizes.

A student consists of a few 3x3 convolutions, so its latency is modelled as the sum of its parts,
with non-negative factors:

    constant + encoder + fusion + blocks x (arithmetic + traffic) + tail

Vector units process whole registers, so 24 channels may take as long as 32. Therefore channels are
rounded up to a step: the one of 1, 4, 8, 16 and 32 with the smallest leave-one-out error.
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
"""Smallest number of sizes from which the factors can be determined."""

_STEPS = (1, 4, 8, 16, 32)
Measured = Sequence[tuple[EdgeSize, float]]


@dataclass(frozen=True)
class LeftOut:
    """Leave-one-out errors of the prediction at one shape, as fractions of the measured latency.

    Attributes:
        height_px: Height of an LR frame, pixels.
        width_px: Width of an LR frame, pixels.
        points: Number of sizes.
        median: Median error.
        largest: Largest error; usually of a size at the border of the measured range.
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
    """Factors of the sum in the module's docstring.

    Attributes:
        factors: Factor of each column, ms.
        step: Number of channels to whose multiples channels are rounded up.
        scale: SR/LR side ratio.
        window: Number of frames fed at once.
    """

    factors: tuple[float, ...]
    step: int
    scale: int
    window: int

    def latency_ms(self, size: EdgeSize) -> float:
        """Predict the median latency of a size, ms."""
        row = _costs(size, step=self.step, scale=self.scale, window=self.window)
        return float(np.dot(row, self.factors))


def fit_latency(measured: Measured, *, scale: int, window: int) -> LatencyFit | None:
    """Fit the factors to measured sizes; None if there are too few."""
    if len(measured) < LEAST_POINTS:
        return None
    step = min(_STEPS, key=lambda step: float(np.median(_errors(measured, step, scale, window))))
    return _fit(measured, step=step, scale=scale, window=window)


def left_out(
    measured: Measured, shape: tuple[int, int], *, scale: int, window: int
) -> LeftOut | None:
    """Predict each size from all others; None if there are too few of them.

    The step is chosen again without the size in question, so that no information leaks.
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
    # Rows divided by the measured latency, to minimise the relative error.
    factors = _non_negative(sums / truth_ms[:, None], np.ones(len(measured)))
    return LatencyFit(tuple(map(float, factors)), step, scale, window)


def _costs(size: EdgeSize, *, step: int, scale: int, window: int) -> NDArray[np.float64]:
    """Compute the columns of the sum: thousands of MACs, or of values moved, per LR pixel."""

    def up(channels: int) -> int:
        return math.ceil(channels / step) * step

    features, blocks = size.features, size.blocks
    columns = (
        1.0,
        window * 27 * up(size.encoded),
        9 * up(window * size.fused) * up(features),
        9 * up(features) ** 2 * blocks,
        100 * up(features) * blocks,
        9 * up(features) * up(3 * scale * scale),
    )
    return np.array(columns, dtype=np.float64) / [1, *[1000.0] * 5]


def _non_negative(rows: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve least squares with non-negative factors, by trying all sets of columns.

    Six columns have 63 sets, so trying all is feasible and exact. If a set has a solution without
    negative factors, none of its subsets can be better, so these are skipped.
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
