"""Find the fastest division of the CPU threads among windows; see `parallel_windows`.

The search halves the number of lanes while that is faster, then tries half of the threads, because
two threads on one core may be slower than one:

    8 cores    8 lanes, 8 threads -> 4, 8 -> 2, 8 (slower) -> 4, 4 (slower): 4 lanes, 8 threads
"""

from __future__ import annotations

from dataclasses import dataclass

from vsrc.runtime.machine import thread_count
from vsrc.runtime.windows.lane_choice import LaneChoice, LaneRate, Reason

_SECONDS = 0.2
"""Time for which a division is timed, at least."""

_ROUNDS = 2
"""Windows in each lane that are timed, at least."""

_LEAST_THREADS = 4
"""Number of threads from which half of them is tried."""


@dataclass(frozen=True)
class LanePlan:
    """A division of threads among windows.

    Attributes:
        lanes: Number of windows computed in parallel.
        threads: Number of threads in all.
    """

    lanes: int
    threads: int

    @property
    def inside(self) -> int:
        """Threads inside an operator: that of the lane, plus those shared by all lanes."""
        return self.threads - self.lanes + 1


class LaneTrial:
    """A search for the fastest plan, fed with the times of windows.

    Args:
        threads: Number of threads as asked for, which ends the search before it begins; 0 to
            search.
        most: Largest number of lanes that the memory allows.

    Attributes:
        plan: Plan to use for the next windows.
    """

    def __init__(self, threads: int = 0, *, most: int) -> None:
        total = thread_count(threads)
        self.most = max(1, min(most, total))
        self.plan = LanePlan(self.most, total)
        self._rates: list[LaneRate] = []
        self._half: LanePlan | None = None
        self._reason: Reason = "unfinished"
        if threads or total == 1:
            self._reason = "option" if threads else "single"
        self._forget_times()

    @property
    def is_done(self) -> bool:
        """Whether the plan does not change any more."""
        return self._reason != "unfinished"

    @property
    def choice(self) -> LaneChoice:
        """The plan and the reason for it, for reports."""
        rates = tuple(self._rates)
        return LaneChoice(self.plan.lanes, self.plan.threads, self.most, self._reason, rates)

    def add(self, seconds: float, *, windows: int, is_full: bool) -> None:
        """Add the time of one piece of work in a lane.

        Args:
            seconds: Time that it took.
            windows: Windows that are finished with it; 0 for the features of a frame.
            is_full: Whether all lanes had work during this time.
        """
        if self.is_done:
            return
        self._works += 1
        if self._works <= self.plan.lanes:
            return  # the first run in a lane allocates memory
        if is_full:
            self._seconds += seconds
            self._windows += windows
        enough = self._windows >= _ROUNDS * self.plan.lanes
        if enough and self._seconds >= _SECONDS * self.plan.lanes:
            # Little's law: with L windows under way, each of which takes t, L / t are finished a
            # second.
            self._finish_plan(self.plan.lanes * self._windows / self._seconds)
        elif self._works > 16 * (1 + self.plan.lanes) and not enough:
            self._end("starved", self._best() or self.plan)

    def _finish_plan(self, windows_per_s: float) -> None:
        before = max((rate.windows_per_s for rate in self._rates), default=0.0)
        self._rates.append(LaneRate(self.plan.lanes, self.plan.threads, windows_per_s))
        best = self._best()
        assert best is not None
        if self._half is not None:
            self._end("trial", best)
        elif windows_per_s > before and self.plan.lanes > 1:
            self._try(LanePlan(self.plan.lanes // 2, self.plan.threads))
        elif best.threads >= _LEAST_THREADS:
            threads = best.threads // 2
            self._half = LanePlan(min(best.lanes, threads), threads)
            self._try(self._half)
        else:
            self._end("trial", best)

    def _best(self) -> LanePlan | None:
        if not self._rates:
            return None
        best = max(self._rates, key=lambda rate: rate.windows_per_s)
        return LanePlan(best.lanes, best.threads)

    def _try(self, plan: LanePlan) -> None:
        self.plan = plan
        self._forget_times()

    def _end(self, reason: Reason, plan: LanePlan) -> None:
        self._reason, self.plan = reason, plan

    def _forget_times(self) -> None:
        self._works = self._windows = 0
        self._seconds = 0.0
