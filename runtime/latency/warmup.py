"""Where warm-up ends, told by the measurements themselves.

The rule is MSER-5 (White, "An effective truncation heuristic for bias reduction in simulation
output", Simulation 69, 1997): of all places in the first half to cut, take the one that leaves the
smallest standard error of the mean over what remains. A cut too early leaves slow first frames in,
which raises the variance; a cut too late throws samples away, which raises the error as well.

    ms │▇▆
       │██▅▃▂  ▂    █   ▂      ▂
       │█████▇▇█▇▇▇▇█▇▇▇█▇▇▇▇▇▇█▇▇
       └──────┬──────────────────────
              warm-up ends here; the spike is part of the distribution and stays

Here each group of five is represented by its median instead of its mean, so that a lone spike,
which users will meet too, is not taken for the end of warm-up.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

GROUP = 5
LEAST_SAMPLES = 4 * GROUP
"""With fewer samples nothing can be said about when they settled."""
DRIFT_LIMIT = 0.05
"""Medians of the two halves of a steady series differ by less than this fraction."""


def warmup_length(samples: Sequence[float]) -> int:
    """Number of first samples that belong to warm-up, a multiple of `GROUP`.

    Args:
        samples: Durations in the order they were taken; of fewer than `LEAST_SAMPLES` none is
            called warm-up.
    """
    middle = _group_medians(samples)
    if len(samples) < LEAST_SAMPLES:
        return 0
    errors = [_squared_error_of_mean(middle[cut:]) for cut in range(len(middle) // 2 + 1)]
    return int(np.argmin(errors)) * GROUP


def is_steady(samples: Sequence[float]) -> bool | None:
    """Whether the series keeps its level: its two halves agree.

    Returns:
        None for fewer than `LEAST_SAMPLES`: too few to tell.
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
