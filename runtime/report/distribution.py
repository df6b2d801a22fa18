"""Summary statistics of samples; percentiles only where there are enough samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vsrc.runtime.schema import AtLeastOne

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p99_9": 99.9}
"""Field of `Distribution` -> per cent of the samples below it."""


@dataclass(frozen=True)
class Distribution:
    """Summary of samples; its unit is that of the samples and is in the name of the field.

    A percentile is None unless there are enough samples that one is expected to be above it: with
    fewer it would be no more than the largest sample.

    Attributes:
        count: Number of samples.
        mean: Arithmetic mean.
        std: Standard deviation of a sample (divided by count - 1); None for one sample.
        min: Smallest sample.
        max: Largest sample.
        p50: Median; None for fewer than 2 samples.
        p90: 90th percentile; None for fewer than 10 samples.
        p95: 95th percentile; None for fewer than 20 samples.
        p99: 99th percentile; None for fewer than 100 samples.
        p99_9: 99.9th percentile; None for fewer than 1000 samples.
    """

    count: AtLeastOne
    mean: float
    std: float | None
    min: float
    max: float
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    p99_9: float | None


def distribution(samples: Sequence[float]) -> Distribution:
    """Summarize samples.

    Raises:
        ValueError: No samples, or one that is negative or not finite, from a faulty clock.
    """
    if not samples:
        raise ValueError("there are no samples to summarize")
    if bad := [x for x in samples if not (math.isfinite(x) and x >= 0)]:
        raise ValueError(f"a sample is {bad[0]}: the clock ran backwards or stood still")
    values = np.asarray(samples, dtype=np.float64)
    return Distribution(
        count=len(values),
        mean=float(values.mean()),
        std=float(values.std(ddof=1)) if len(values) > 1 else None,
        min=float(values.min()),
        max=float(values.max()),
        **{name: percentile(samples, percent) for name, percent in PERCENTILES.items()},
    )


def samples_needed(percent: float) -> int:
    """Least number of samples of which one is expected to be above the percentile."""
    return math.ceil(round(100 / (100 - percent), 6))


def percentile(samples: Sequence[float], percent: float) -> float | None:
    """Percentile by linear interpolation between the two nearest samples; None for too few."""
    if len(samples) < samples_needed(percent):
        return None
    return float(np.percentile(np.asarray(samples, dtype=np.float64), percent))
