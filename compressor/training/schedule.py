"""Learning rate schedules."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["cosine", "cosine-restarts", "step", "constant"]


def rate_factor(
    step: int,
    *,
    steps: int,
    schedule: Schedule,
    warmup: int = 0,
    floor: float = 0.0,
    milestones: tuple[float, ...] = (0.5, 0.8),
    step_factor: float = 0.5,
) -> float:
    """Factor on the learning rate at a step, in (0, 1].

    Args:
        step: Index of the step, from 0.
        steps: Number of steps of the run.
        schedule: `cosine` falls to `floor`; `cosine-restarts` does so again from each milestone
            on; `step` falls at each milestone; `constant` is 1.
        warmup: Steps of linear warm-up, at most a tenth of the run.
        floor: Final value of the cosine.
        milestones: Milestones as fractions of the run, ascending.
        step_factor: Factor of `step` at each milestone.
    """
    warmup = min(warmup, steps // 10)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if schedule == "constant":
        return 1.0
    if schedule == "step":
        return float(step_factor ** sum(step >= share * steps for share in milestones))
    start, end = warmup, steps
    if schedule == "cosine-restarts":
        bounds = [0, *(round(share * steps) for share in milestones), steps]
        start = max(warmup, *(bound for bound in bounds if bound <= step))
        end = min(bound for bound in bounds if bound > step)
    done = (step - start) / max(end - start, 1)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
