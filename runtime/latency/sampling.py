"""Time something again and again until it has been steady for long enough."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from vsrc.runtime.errors import VsrcError
from vsrc.runtime.latency.warmup import is_steady, warmup_length

PATIENCE = 3
"""A series that has not settled after so many times the planned length is reported as it is."""


@dataclass(frozen=True)
class Plan:
    """How much is wanted; both limits must be met.

    Attributes:
        samples: Least number of steady samples.
        seconds: Least time they take together.
    """

    samples: int
    seconds: float = 0.0

    def met_by(self, durations_ms: list[float], *, times: int = 1) -> bool:
        """Whether these samples fulfil the plan `times` over."""
        enough = len(durations_ms) >= self.samples * times
        return enough and sum(durations_ms) >= self.seconds * 1000 * times


@dataclass(frozen=True)
class Series:
    """Samples in the order they were taken.

    Attributes:
        warmup_ms: Durations before the series was steady, ms.
        steady_ms: The rest, ms.
        steady_wall_seconds: From the start of the first steady sample to the end of the last,
            the time between samples included.
        steady: Whether the rest kept its level; None: too few to tell.
    """

    warmup_ms: tuple[float, ...]
    steady_ms: tuple[float, ...]
    steady_wall_seconds: float
    steady: bool | None


def take_samples(
    run: Callable[[], object],
    plan: Plan,
    *,
    progress: Callable[[int, float], None] = lambda _samples, _seconds: None,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> Series:
    """Call `run` until the plan is met by steady samples, or patience is at its end.

    Args:
        run: What is timed; returns when its work is done.
        plan: How many samples are wanted.
        progress: Told the number of samples and the seconds so far, after each.
        clock: Monotonic time, ns.

    Raises:
        VsrcError: The clock ran backwards or stood still.
    """
    starts: list[int] = []
    durations_ms: list[float] = []
    total_ms = 0.0
    goal = plan
    while True:
        starts.append(clock())
        run()
        durations_ms.append(_subtract_ms(starts[-1], clock()))
        total_ms += durations_ms[-1]
        progress(len(durations_ms), total_ms / 1000)
        if len(durations_ms) < goal.samples or total_ms < goal.seconds * 1000:
            continue
        # Looking at the series costs time that would disturb it, so it is not done each time.
        warmup = warmup_length(durations_ms)
        kept = durations_ms[warmup:]
        steady = is_steady(kept)
        met = plan.met_by(kept) and steady is not False
        if met or plan.met_by(durations_ms, times=PATIENCE):
            wall = _subtract_ms(starts[warmup], starts[-1]) + durations_ms[-1]
            if wall == 0:
                raise VsrcError("the clock stood still; nothing can be timed with it")
            return Series(tuple(durations_ms[:warmup]), tuple(kept), wall / 1000, steady)
        missing_ms = plan.seconds * 1000 - sum(kept)
        goal = Plan(
            samples=len(durations_ms) + max(plan.samples - len(kept), len(durations_ms) // 10, 1),
            seconds=(total_ms + max(missing_ms, 0.0)) / 1000,
        )


_STILL_SAMPLES = 1000
SOAK_HEAD_SECONDS = 10.0
"""Warm-up of a soak is looked for in its beginning: what comes later is what it is for."""


def soak(
    run: Callable[[], object],
    seconds: float,
    settled: Callable[[], bool],
    *,
    progress: Callable[[int, float], None] = lambda _samples, _seconds: None,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> Series:
    """Call `run` until the device has settled, for `seconds` at most.

    Args:
        run: What is timed.
        seconds: Longest time.
        settled: Whether the device has settled; asked about once a second.
        progress: Told the number of samples and the seconds so far, after each.
        clock: Monotonic time, ns.

    Raises:
        VsrcError: The clock ran backwards or stood still.
    """
    began = clock()
    starts: list[int] = []
    durations_ms: list[float] = []
    asked = head = 0
    elapsed = 0.0
    while elapsed < seconds:
        starts.append(clock())
        run()
        durations_ms.append(_subtract_ms(starts[-1], clock()))
        elapsed = (starts[-1] - began) / 1e9 + durations_ms[-1] / 1000
        progress(len(durations_ms), elapsed)
        if len(starts) >= _STILL_SAMPLES and elapsed == 0:
            raise VsrcError("the clock stood still; nothing can be timed with it")
        if elapsed < SOAK_HEAD_SECONDS:
            head = len(durations_ms)
        if int(elapsed) > asked:
            asked = int(elapsed)
            if settled():
                break
    warmup = warmup_length(durations_ms[:head])
    wall_ms = _subtract_ms(starts[warmup], starts[-1]) + durations_ms[-1]
    kept = durations_ms[warmup:]
    return Series(tuple(durations_ms[:warmup]), tuple(kept), wall_ms / 1000, is_steady(kept))


def time_ms(run: Callable[[], object], *, clock: Callable[[], int] = time.perf_counter_ns) -> float:
    """How long one call takes, ms.

    Raises:
        VsrcError: The clock ran backwards.
    """
    start = clock()
    run()
    return _subtract_ms(start, clock())


def _subtract_ms(start: int, end: int) -> float:
    if end < start:
        raise VsrcError(
            f"the clock ran backwards by {start - end} ns; nothing can be timed with it"
        )
    return (end - start) / 1e6
