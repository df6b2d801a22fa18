"""How far a number from samples can be trusted: bootstrap intervals that know of slow noise.

Neighbouring samples of a latency resemble each other (clocks, heat, other work), so drawing single
samples anew would promise too much. Whole blocks are drawn instead, as in the circular block
bootstrap (Politis and Romano 1992). Ten blocks are few enough to be long, and their small number is
paid for by Student's t, so that the interval holds what it says on series that are far from
independent (tests/runtime/test_interval.py).

    one run       │▁▂▁│▁▃▂│▂▂▃│▃▂▂│▂▁▁│ ...   blocks of a tenth of the run, at any start
    several runs  │▁▂▁▁▂│  │▂▃▂▂▃│  │▁▁▁▂▁│   a run is a block: noise between runs counts
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCKS = 10
LEAST_SAMPLES = 10
"""Of fewer samples of one run no interval is told."""
LEAST_RUNS = 3

_RESAMPLES = 400
_OUTSIDE = 2.5  # per cent on either side of a 95 % interval
_NORMAL = 1.960
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""97.5 % quantile of Student's t for 1, 2, ... 9 degrees of freedom."""

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], float]


@dataclass(frozen=True)
class Interval:
    """Where a number lies with 95 % confidence, in the unit of the number."""

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
    runs: Sequence[Sequence[float]], statistic: Statistic = median, *, seed: int = 0
) -> Interval | None:
    """Interval of a statistic of all samples together.

    Args:
        runs: Samples in the order taken; a series for each time that it was set up anew.
        statistic: Of a `(samples,)` array.
        seed: Of the draw: the same samples give the same interval.

    Returns:
        None where the samples cannot tell: two runs, or fewer than `LEAST_SAMPLES` of one.
    """
    drawn = resampled(runs, statistic, seed=seed)
    if drawn is None:
        return None
    whole = np.concatenate([np.asarray(run, dtype=np.float64) for run in runs])
    return widened(statistic(whole), drawn, blocks=block_count(runs))


def block_count(runs: Sequence[Sequence[float]]) -> int:
    """Number of blocks that `resampled` draws from."""
    return BLOCKS if len(runs) == 1 else len(runs)


def resampled(runs: Sequence[Sequence[float]], statistic: Statistic, *, seed: int) -> Floats | None:
    """The statistic on samples drawn anew, again and again; None as in `interval_of`."""
    generator = np.random.default_rng(seed)
    arrays = [np.asarray(run, dtype=np.float64) for run in runs]
    if len(arrays) == 1 and len(arrays[0]) >= LEAST_SAMPLES:
        draw = _blocks_of(arrays[0], generator)
    elif len(arrays) >= LEAST_RUNS:
        draw = _some_of(arrays, generator)
    else:
        return None
    return np.asarray([statistic(draw()) for _ in range(_RESAMPLES)])


def widened(value: float, drawn: Floats, *, blocks: int) -> Interval:
    """Interval about a value from resampled ones, made as wide as so few blocks demand."""
    low, high = np.percentile(drawn, [_OUTSIDE, 100 - _OUTSIDE])
    student = _STUDENT[blocks - 2] if blocks - 2 < len(_STUDENT) else _NORMAL + 2.4 / blocks
    factor = student / _NORMAL * math.sqrt(blocks / (blocks - 1))
    return Interval(value - (value - float(low)) * factor, value + (float(high) - value) * factor)


def _blocks_of(samples: Floats, generator: np.random.Generator) -> Callable[[], Floats]:
    count = len(samples)
    length = round(count / BLOCKS)
    needed = math.ceil(count / length)
    inside = np.arange(length)

    def draw() -> Floats:
        starts = generator.integers(0, count, needed)
        places = (starts[:, None] + inside).ravel()[:count] % count
        return np.asarray(samples[places])

    return draw


def _some_of(runs: Sequence[Floats], generator: np.random.Generator) -> Callable[[], Floats]:
    def draw() -> Floats:
        return np.concatenate([runs[at] for at in generator.integers(0, len(runs), len(runs))])

    return draw
