"""How many windows are computed in parallel, with how many threads, and how that was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from vsrc.runtime.schema import AtLeastOne, Positive

Reason = Literal["trial", "unfinished", "starved", "option", "single"]


@dataclass(frozen=True)
class LaneRate:
    """Speed of one division of the threads, from the trial on the first windows.

    Attributes:
        lanes: Number of windows computed in parallel.
        threads: Number of CPU threads in all: one for each lane, the others shared by all lanes.
        windows_per_s: Throughput with all lanes at work, windows/s.
    """

    lanes: AtLeastOne
    threads: AtLeastOne
    windows_per_s: Positive


@dataclass(frozen=True)
class LaneChoice:
    """Division of the CPU threads among windows.

    Attributes:
        lanes: Number of windows computed in parallel.
        threads: Number of CPU threads in all: one for each lane, the others shared by all lanes.
        most_lanes: Largest number of lanes that the free memory allows.
        reason: Why these numbers: `trial`, they were the fastest on the first windows;
            `unfinished`, the video ended before the trial; `starved`, frames came slower than the
            lanes computed them, so it makes no difference; `option`, `--threads`; `single`, there
            is one thread.
        rates: Divisions that were tried, in that order.
    """

    lanes: AtLeastOne
    threads: AtLeastOne
    most_lanes: AtLeastOne
    reason: Reason
    rates: tuple[LaneRate, ...] = ()

    def __str__(self) -> str:
        windows = f"{self.lanes} window{'' if self.lanes == 1 else 's'} in parallel"
        return f"{windows}, {self.threads} thread{'' if self.threads == 1 else 's'}"


@runtime_checkable
class ParallelSession(Protocol):
    """A session that may divide CPU threads among windows."""

    @property
    def lane_choice(self) -> LaneChoice | None:
        """The division in use; None on a device."""

    @property
    def most_lanes(self) -> int:
        """Largest number of windows computed in parallel, if memory allows; 0 on a device."""

    def fit_lanes(self, size: tuple[int, int], most: int) -> None:
        """Prepare for windows of another size; does nothing for the same size and limit.

        Args:
            size: H and W of the windows, LR pixels.
            most: Largest number of lanes that the memory allows.
        """
