"""How far a number from samples can be trusted: bootstrap intervals over whole runs.

Neighbouring samples of a latency resemble each other (clocks, heat, other work), and a process
keeps the memory and the threads it was given: samples of one process say little of the next. So a
thing is measured in several fresh processes, and whole runs are drawn anew, not samples (Kalibera
and Jones, "Rigorous benchmarking in reasonable time", ISMM 2013). That there are few of them is
paid for by Student's t, as Georges, Buytaert and Eeckhout do (OOPSLA 2007). How often the intervals
of real reports agree stands in docs/results/coverage.md.

    run 1 │▁▂▁▁▂│   run 2 │▂▃▂▂▃│   run 3 │▁▁▁▂▁│   drawn: 2 3 3, 1 1 2, 3 2 1, ...
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_RUNS = 3
"""Fewer runs do not tell how much runs differ, and have no interval."""

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
        low: Lower end.
        high: Upper end.
    """

    low: float
    high: float

    def overlaps(self, other: Interval) -> bool:
        """Whether the two have a value in common."""
        return self.low <= other.high and other.low <= self.high


def median(values: Floats) -> float:
    """The 50th percentile."""
    return float(np.median(values))


def mean(values: Floats) -> float:
    """The arithmetic mean."""
    return float(values.mean())


def interval_of(
    runs: Sequence[Sequence[float] | Floats], statistic: Statistic = median, *, seed: int = 0
) -> Interval | None:
    """Interval of a statistic of all samples together.

    Args:
        runs: Samples; a series for each time that it was set up anew.
        statistic: Of a `(samples,)` array.
        seed: Of the draw: the same samples give the same interval.

    Returns:
        None for fewer than `LEAST_RUNS`.
    """
    drawn = resample(runs, statistic, seed=seed)
    if drawn is None:
        return None
    return widen(statistic(np.concatenate(runs)), drawn, runs=len(runs))


def resample(
    runs: Sequence[Sequence[float] | Floats], statistic: Statistic, *, seed: int
) -> Floats | None:
    """The statistic on runs drawn anew, again and again; None as in `interval_of`."""
    if len(runs) < LEAST_RUNS:
        return None
    generator = np.random.default_rng(seed)
    arrays = [np.asarray(run, dtype=np.float64) for run in runs]
    draws = generator.integers(0, len(arrays), (_RESAMPLES, len(arrays)))
    return np.asarray([statistic(np.concatenate([arrays[at] for at in draw])) for draw in draws])


def widen(value: float, drawn: Floats, *, runs: int) -> Interval:
    """Interval about a value from resampled ones, made as wide as so few runs demand.

    By factors, not by differences: however wide, no end of what is positive becomes negative.
    """
    if value <= 0 or drawn.min() <= 0:  # a clock that stands still now and then
        return Interval(float(drawn.min()), float(drawn.max()))
    low, high = np.percentile(drawn, [_OUTSIDE, 100 - _OUTSIDE])
    student = _STUDENT[runs - 2] if runs - 2 < len(_STUDENT) else _NORMAL + 2.4 / runs
    power = student / _NORMAL * math.sqrt(runs / (runs - 1))
    return Interval(value * float(low / value) ** power, value * float(high / value) ** power)


def enclose(parts: Iterable[Interval | None]) -> Interval | None:
    """The smallest interval that holds all that are known; None where none is."""
    known = [part for part in parts if part is not None]
    return (
        None
        if not known
        else Interval(min(part.low for part in known), max(part.high for part in known))
    )
