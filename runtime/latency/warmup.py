"""Find the end of warm-up from the samples themselves.

The rule is MSER-5 (White, "An effective truncation heuristic for bias reduction in simulation
output", Simulation 69, 1997): of all cuts in the first half, take the one with the smallest
standard error of the mean of the remaining samples. A cut too early keeps slow first frames, which
raises the variance; a cut too late discards samples, which raises the error as well.

    ms │▇▆
       │██▅▃▂  ▂    █   ▂      ▂
       │█████▇▇█▇▇▇▇█▇▇▇█▇▇▇▇▇▇█▇▇
       └──────┬──────────────────────
              warm-up ends here; the spike is part of the distribution and stays

Here each group of five is represented by its median instead of its mean, so that a single spike,
which also occurs in practice, is not mistaken for the end of warm-up.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

GROUP = 5
LEAST_SAMPLES = 4 * GROUP
"""Smallest number of samples for which the end of warm-up is determined."""
DRIFT_LIMIT = 0.05
"""Largest relative difference between the medians of the two halves of a steady series."""


def warmup_length(samples: Sequence[float]) -> int:
    """Number of leading samples that belong to warm-up, a multiple of `GROUP`.

    Args:
        samples: Durations in the order they were taken; with fewer than `LEAST_SAMPLES`, the
            result is 0.
    """
    middle = _group_medians(samples)
    if len(samples) < LEAST_SAMPLES:
        return 0
    errors = [_squared_error_of_mean(middle[cut:]) for cut in range(len(middle) // 2 + 1)]
    return int(np.argmin(errors)) * GROUP


def is_steady(samples: Sequence[float]) -> bool | None:
    """Whether the level of the series is constant, judged by its two halves.

    Returns:
        None for fewer than `LEAST_SAMPLES`.
    """
    if len(samples) < LEAST_SAMPLES:
        return None
    half = len(samples) // 2
    first, second = (float(np.median(part)) for part in (samples[:half], samples[half:]))
    return abs(first - second) <= DRIFT_LIMIT * max(first, second)


def _group_medians(samples: Sequence[float]) -> NDArray[np.float64]:
    groups = len(samples) // GROUP
    values = np.asarray(samples[: groups * GROUP], dtype=np.float64).reshape(groups, GROUP)
    return np.asarray(np.median(values, axis=1), dtype=np.float64)


def _squared_error_of_mean(values: NDArray[np.float64]) -> float:
    return float(((values - values.mean()) ** 2).sum() / len(values) ** 2)
