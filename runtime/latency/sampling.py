"""Time a function repeatedly until enough steady samples are collected."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from vsrc.runtime.errors import VsrcError
from vsrc.runtime.latency.warmup import is_steady, warmup_length

PATIENCE = 3
"""Factor of the planned length after which sampling stops even if the series is not steady."""


@dataclass(frozen=True)
class Plan:
    """Required amount of samples; both limits must be met.

    Attributes:
        samples: Smallest number of steady samples.
        seconds: Smallest total time of these samples.
    """

    samples: int
    seconds: float = 0.0

    def met_by(self, durations_ms: list[float], *, times: int = 1) -> bool:
        """Whether these samples are at least `times` times the plan."""
        enough = len(durations_ms) >= self.samples * times
        return enough and sum(durations_ms) >= self.seconds * 1000 * times


@dataclass(frozen=True)
class Series:
    """Samples in the order they were taken.

    Attributes:
        warmup_ms: Durations before the series was steady, ms.
        steady_ms: Durations after that, ms.
        steady_wall_seconds: From the start of the first steady sample to the end of the last,
            the time between samples included.
        steady: Whether the level of `steady_ms` stayed constant; None for too few samples.
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
    """Call `run` until steady samples meet the plan, or too many were needed.

    Args:
        run: Function to time; returns when its work is done.
        plan: Required number and total time of samples.
        progress: Called after each sample with the number of samples and the seconds so far.
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
        # Checking the series costs time that would disturb it, so it is not done for each sample.
        warmup = warmup_length(durations_ms)
        kept = durations_ms[warmup:]
        steady = is_steady(kept)
        met = plan.met_by(kept) and steady is not False
        if met or plan.met_by(durations_ms, times=PATIENCE):
            wall = _subtract_ms(starts[warmup], starts[-1]) + durations_ms[-1]
            if wall == 0:
                raise VsrcError("the clock did not advance; it cannot be used for timing")
            return Series(tuple(durations_ms[:warmup]), tuple(kept), wall / 1000, steady)
        missing_ms = plan.seconds * 1000 - sum(kept)
        goal = Plan(
            samples=len(durations_ms) + max(plan.samples - len(kept), len(durations_ms) // 10, 1),
            seconds=(total_ms + max(missing_ms, 0.0)) / 1000,
        )


_STILL_SAMPLES = 1000
SOAK_HEAD_SECONDS = 10.0
"""Number of first samples of a soak in which warm-up may end; later changes are its result."""


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
        run: Function to time.
        seconds: Longest time.
        settled: Returns whether the device has settled; called about once a second.
        progress: Called after each sample with the number of samples and the seconds so far.
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
            raise VsrcError("the clock did not advance; it cannot be used for timing")
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
    """Time one call, ms.

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
