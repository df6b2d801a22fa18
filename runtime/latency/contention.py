"""Time that other processes took from what is measured, and what samples would be without it.

A machine that others use does not keep its pace for long: what a run measures now, the next run a
minute later does not find again, however often each repeats within itself. But Linux counts whose
time the cores spent, and so tells how much of the time that the network wanted went to others:

    wanted   │ network's threads x wall time                          │
    got      │ its CPU time                         │ the rest         │
    others   │ their CPU time                │

Of the rest, others took no more than they used, and no more than the threads stood in line for a
core, each keeping all others waiting meanwhile. What the network alone would take is then known but
for one thing: which samples the time was taken from. Two extremes bound it: from all alike, or from
the slowest alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vsrc.runtime.report.interval import Floats, Interval, Statistic, enclose, interval_of

BUSY_SHARE = 0.05
"""Of the time; from here on a report says that others took it."""

LOADED = 0.25
"""Load average for each core from which on other work is named, where its share is not known."""

_TOLD_SHARE = 0.5
"""A kernel that counts less than this part of our own time does not count at all."""


@dataclass(frozen=True)
class CoreTime:
    """Clocks at one moment, seconds; only differences mean something.

    Attributes:
        wall: Time.
        own: CPU time of this process.
        all: Time that the cores on which it may run worked for anybody, or were stolen by the host.
        queued: Time that its threads stood in line for a core; None where the kernel does not tell.
    """

    wall: float
    own: float
    all: float
    queued: float | None


def core_time(root: Path = Path("/")) -> CoreTime | None:
    """Read the clocks now; None where the system does not tell."""
    ticks = _busy_ticks(root / "proc/stat")
    if ticks is None:
        return None
    used = os.times()
    seconds = ticks / os.sysconf("SC_CLK_TCK")
    queued = _read_queued_seconds(root / "proc/self/task")
    return CoreTime(time.perf_counter(), used.user + used.system, seconds, queued)


def share_of_others(start: CoreTime | None, end: CoreTime | None, *, threads: int) -> float | None:
    """Share of the time that this process wanted which others got, in [0, 1).

    Args:
        start: Clocks at the start.
        end: At the end.
        threads: Threads that all want to run.

    Returns:
        None where the clocks cannot tell.
    """
    if start is None or end is None or end.wall <= start.wall:
        return None
    wanted = threads * (end.wall - start.wall)
    own, everybody = end.own - start.own, end.all - start.all
    if everybody < _TOLD_SHARE * own:
        return None
    taken = min(wanted - own, everybody - own)
    if start.queued is not None and end.queued is not None:
        taken = min(taken, threads * (end.queued - start.queued))
    return min(max(taken / wanted, 0.0), 0.99)


def overall_share(runs_ms: Sequence[Sequence[float]], shares: Sequence[float]) -> float:
    """What others took of all runs together."""
    seconds = [sum(run) for run in runs_ms]
    return float(np.average(shares, weights=seconds)) if any(seconds) else 0.0


def without_others(
    runs_ms: Sequence[Sequence[float] | Floats], shares: Sequence[float]
) -> Iterator[list[Floats]]:
    """The runs as they were; and, if others took something, both extremes of them alone.

    Args:
        runs_ms: Samples of each run.
        shares: What others took of each.
    """
    runs = [np.asarray(run, dtype=np.float64) for run in runs_ms]
    yield runs
    if any(shares):
        pairs = list(zip(runs, shares, strict=True))
        yield [run * (1 - share) for run, share in pairs]
        yield [_cut_down(run, share) for run, share in pairs]


def interval_alone(
    runs_ms: Sequence[Sequence[float]], shares: Sequence[float], statistic: Statistic
) -> Interval | None:
    """Interval of a statistic that holds what the machine alone would take, too."""
    versions = without_others(runs_ms, shares)
    return enclose(interval_of(runs, statistic) for runs in versions)


def _cut_down(samples: Floats, share: float) -> Floats:
    """Samples of which what exceeds a level is cut off, so that `share` of their sum is gone."""
    slowest = np.sort(samples)[::-1]
    # With the k slowest cut down to one level, the level that takes away exactly the share:
    levels = (np.cumsum(slowest) - share * slowest.sum()) / np.arange(1, len(slowest) + 1)
    untouched = np.append(slowest[1:], 0.0)
    level = float(levels[np.argmax(levels >= untouched)])
    return np.asarray(np.minimum(samples, level))


def _busy_ticks(path: Path) -> int | None:
    """Ticks that the cores of this process were not idle; guests are part of the user time."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        rows = [line.split() for line in lines if line.split(" ", 1)[0] in cores]
        # user nice system idle iowait irq softirq steal guest guest_nice
        return sum(sum(int(row[at]) for at in (1, 2, 3, 6, 7, 8)) for row in rows) if rows else None
    except (OSError, AttributeError, ValueError, IndexError):
        return None


def _read_queued_seconds(folder: Path) -> float | None:
    """Of each thread's `schedstat`: ns on a core, ns in line for one, times on one."""
    try:
        texts = [path.read_text(encoding="ascii") for path in folder.glob("*/schedstat")]
        return sum(int(text.split()[1]) for text in texts) / 1e9 if texts else None
    except (OSError, ValueError, IndexError):
        return None
