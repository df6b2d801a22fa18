"""CPU time that other processes took during a measurement, and bounds of latency without it.

On a machine with other load, speed varies from minute to minute, so that two runs differ however
many samples each of them takes. But Linux accounts CPU time per process, which shows how much of
the time that the network needed went to others:

    wanted   │ network's threads x wall time                          │
    got      │ its CPU time                         │ the rest         │
    others   │ their CPU time                │

The share of others is at most the rest, at most their CPU time, and at most the time that the
network's threads were queued for a core (one queued thread keeps all others waiting). The latency
of the network alone then depends only on which samples lost that time. Two extremes bound it: all
samples in proportion, or only the slowest.
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
"""Share of the time taken by others from which on a report mentions it."""

LOADED = 0.25
"""Load average per core from which on other work is mentioned, if its share is unknown."""

_TOLD_SHARE = 0.5
"""If a kernel accounts less than this share of our own CPU time, its counters are not used."""


@dataclass(frozen=True)
class CoreTime:
    """Clocks at one moment, seconds; only differences are meaningful.

    Attributes:
        wall: Monotonic wall time.
        own: CPU time of this process.
        all: Busy time of the cores on which this process may run, including steal time.
        queued: Time that its threads waited in the run queue; None if the kernel does not report
            it.
    """

    wall: float
    own: float
    all: float
    queued: float | None


def core_time(root: Path = Path("/")) -> CoreTime | None:
    """Read the clocks now; None if the system does not report them."""
    ticks = _busy_ticks(root / "proc/stat")
    if ticks is None:
        return None
    used = os.times()
    seconds = ticks / os.sysconf("SC_CLK_TCK")
    queued = _read_queued_seconds(root / "proc/self/task")
    return CoreTime(time.perf_counter(), used.user + used.system, seconds, queued)


def share_of_others(start: CoreTime | None, end: CoreTime | None, *, threads: int) -> float | None:
    """Share of the time needed by this process that other processes took, in [0, 1).

    Args:
        start: Clocks at the start.
        end: Clocks at the end.
        threads: Number of threads that all need to run.

    Returns:
        None if it cannot be derived from the clocks.
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
    """Share that others took of all runs together, weighted by their durations."""
    seconds = [sum(run) for run in runs_ms]
    return float(np.average(shares, weights=seconds)) if any(seconds) else 0.0


def without_others(
    runs_ms: Sequence[Sequence[float] | Floats], shares: Sequence[float]
) -> Iterator[list[Floats]]:
    """Yield the runs as measured and, if others took time, both extremes without it.

    Args:
        runs_ms: Samples of each run, ms.
        shares: Share of each run that others took.
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
    """Interval of a statistic that also covers its value on an otherwise idle machine."""
    versions = without_others(runs_ms, shares)
    return enclose(interval_of(runs, statistic) for runs in versions)


def _cut_down(samples: Floats, share: float) -> Floats:
    """Clip samples at the level that removes `share` of their sum."""
    slowest = np.sort(samples)[::-1]
    # With the k slowest clipped to one level, the level that removes exactly the share:
    levels = (np.cumsum(slowest) - share * slowest.sum()) / np.arange(1, len(slowest) + 1)
    untouched = np.append(slowest[1:], 0.0)
    level = float(levels[np.argmax(levels >= untouched)])
    return np.asarray(np.minimum(samples, level))


def _busy_ticks(path: Path) -> int | None:
    """Busy ticks of the cores of this process; guest time is included in user time."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        rows = [line.split() for line in lines if line.split(" ", 1)[0] in cores]
        # user nice system idle iowait irq softirq steal guest guest_nice
        return sum(sum(int(row[at]) for at in (1, 2, 3, 6, 7, 8)) for row in rows) if rows else None
    except (OSError, AttributeError, ValueError, IndexError):
        return None


def _read_queued_seconds(folder: Path) -> float | None:
    """Sum the queued time in each thread's `schedstat`: ns running, ns queued, time slices."""
    try:
        texts = [path.read_text(encoding="ascii") for path in folder.glob("*/schedstat")]
        return sum(int(text.split()[1]) for text in texts) / 1e9 if texts else None
    except (OSError, ValueError, IndexError):
        return None
