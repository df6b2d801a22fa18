"""Confidence intervals by bootstrap over whole runs.

Neighbouring latency samples are correlated (clocks, heat, other work), and memory layout and
threads differ between processes: samples of one process say little about the next. So measurements
are repeated in several fresh processes, and whole runs are resampled (Kalibera and Jones,
"Rigorous benchmarking in reasonable time", ISMM 2013). Intervals are widened by Student's t for the
small number of runs, as in Georges, Buytaert and Eeckhout (OOPSLA 2007). The measured coverage of
the intervals of real reports is in docs/results/coverage.md.

    run 1 │▁▂▁▁▂│   run 2 │▂▃▂▂▃│   run 3 │▁▁▁▂▁│   drawn: 2 3 3, 1 1 2, 3 2 1, ...
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_RUNS = 3
"""Least number of runs for an interval; fewer do not show the variance between runs."""

_RESAMPLES = 400
_OUTSIDE = 2.5  # per cent on either side of a 95 % interval
_NORMAL = 1.960
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""97.5 % quantile of Student's t for 1, 2, ... 9 degrees of freedom."""

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], float]


@dataclass(frozen=True)
class Interval:
    """95 % interval, in the unit of the number.

    Attributes:
        low: Lower bound.
        high: Upper bound.
    """

    low: float
    high: float

    def overlaps(self, other: Interval) -> bool:
        """Whether the two have a value in common."""
        return self.low <= other.high and other.low <= self.high


def median(values: Floats) -> float:
    """Return the 50th percentile."""
    return float(np.median(values))


def mean(values: Floats) -> float:
    """Return the arithmetic mean."""
    return float(values.mean())


def interval_of(
    runs: Sequence[Sequence[float] | Floats], statistic: Statistic = median, *, seed: int = 0
) -> Interval | None:
    """Compute the interval of a statistic of all samples together.

    Args:
        runs: Samples of each run.
        statistic: Function of a `(samples,)` array.
        seed: Seed of the resampling: the same samples give the same interval.

    Returns:
        The interval, or None for fewer runs than `LEAST_RUNS`.
    """
    drawn = resample(runs, statistic, seed=seed)
    if drawn is None:
        return None
    return widen(statistic(np.concatenate(runs)), drawn, runs=len(runs))


def resample(
    runs: Sequence[Sequence[float] | Floats], statistic: Statistic, *, seed: int
) -> Floats | None:
    """Compute the statistic on resampled runs, many times; None as in `interval_of`."""
    if len(runs) < LEAST_RUNS:
        return None
    generator = np.random.default_rng(seed)
    arrays = [np.asarray(run, dtype=np.float64) for run in runs]
    draws = generator.integers(0, len(arrays), (_RESAMPLES, len(arrays)))
    return np.asarray([statistic(np.concatenate([arrays[at] for at in draw])) for draw in draws])


def widen(value: float, drawn: Floats, *, runs: int) -> Interval:
    """Compute the interval of a value from resampled ones, widened for the small number of runs.

    The bounds are factors of the value, not differences, so that they stay positive.
    """
    if value <= 0 or drawn.min() <= 0:  # a clock of low resolution
        return Interval(float(drawn.min()), float(drawn.max()))
    low, high = np.percentile(drawn, [_OUTSIDE, 100 - _OUTSIDE])
    student = _STUDENT[runs - 2] if runs - 2 < len(_STUDENT) else _NORMAL + 2.4 / runs
    power = student / _NORMAL * math.sqrt(runs / (runs - 1))
    return Interval(value * float(low / value) ** power, value * float(high / value) ** power)


def enclose(parts: Iterable[Interval | None]) -> Interval | None:
    """Return the smallest interval that contains all intervals that are not None, or None."""
    known = [part for part in parts if part is not None]
    return (
        None
        if not known
        else Interval(min(part.low for part in known), max(part.high for part in known))
    )
