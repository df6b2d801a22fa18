"""Measure free memory, and the peak memory of a function."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_V2 = Path("/sys/fs/cgroup")
_V1 = Path("/sys/fs/cgroup/memory")
_OOM_COUNTERS = (
    Path("/proc/vmstat"),  # whole machine, since Linux 4.13
    _V2 / "memory.events",
    _V1 / "memory.oom_control",
)

_M_MMAP_THRESHOLD = -3  # malloc.h
_LARGE_BYTES = 1_000_000


def free_bytes() -> int | None:
    """Return the memory that this process may still allocate, bytes; None if unknown.

    It is limited by the machine and by the container.
    """
    known = [_machine_bytes(), *_container_bytes()]
    return min((size for size in known if size is not None), default=None)


def peak_growth(work: Callable[[], object]) -> int | None:
    """Return the peak growth of the process while `work` runs, bytes; None if unknown.

    Memory of other threads counts, too, so call it when there are none. What the process freed
    before is given back to the system first: `work` would use it again, and seem to need nothing.
    """
    _trim_heaps()
    try:
        _CLEAR.write_text("5")  # resets the peak; see proc(5)
        before = _status_bytes("VmRSS")
        work()
        return _status_bytes("VmHWM") - before
    except (OSError, KeyError):  # not Linux, or not allowed
        return None


def oom_kills() -> int | None:
    """Return the number of processes killed by the kernel's OOM killer; None if unknown.

    Only differences are meaningful: a process may be counted more than once.
    """
    counts = [count for count in map(_oom_count, _OOM_COUNTERS) if count is not None]
    return sum(counts) if counts else None


def oom_kills_since(before: int | None) -> int | None:
    """Return the increase of `oom_kills`; None if unknown."""
    now = oom_kills()
    return None if before is None or now is None else now - before


def _oom_count(counter: Path) -> int | None:
    try:
        fields = (line.split() for line in counter.read_text().splitlines())
        return next((int(field[1]) for field in fields if field[:1] == ["oom_kill"]), None)
    except (OSError, ValueError, IndexError):
        return None


def _machine_bytes() -> int | None:
    try:
        return _field(Path("/proc/meminfo"), "MemAvailable")
    except (OSError, KeyError):
        return None


def _container_bytes() -> list[int | None]:
    """Return the memory left by the limits of control groups, versions 2 and 1, bytes."""
    return [
        _left(_V2 / "memory.max", _V2 / "memory.current"),
        _left(_V1 / "memory.limit_in_bytes", _V1 / "memory.usage_in_bytes"),
    ]


def _left(limit: Path, used: Path) -> int | None:
    try:
        text = limit.read_text().strip()
        return None if text == "max" else max(0, int(text) - int(used.read_text()))
    except (OSError, ValueError):
        return None


def _status_bytes(name: str) -> int:
    return _field(_STATUS, name)


def _field(path: Path, name: str) -> int:
    lines = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    return int(lines[name].split()[0]) << 10


def _trim_heaps() -> None:
    """Make the C library return free memory to the system, once."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):  # not Linux, or another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def give_frames_back() -> None:
    """Make the C library return large blocks to the system, for the rest of the process.

    After the first large block is freed, glibc raises its mmap threshold and keeps such blocks in
    the arenas of threads. Frames allocated by one thread and freed by another fragment them: over
    960 frames of 720p a process grew by a fifth, and does not with this.
    """
    import ctypes

    with contextlib.suppress(OSError, AttributeError):  # not Linux, or another C library
        ctypes.CDLL("libc.so.6").mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
