"""How much memory there is, and how much a piece of work takes at its peak."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_V2 = Path("/sys/fs/cgroup")
_V1 = Path("/sys/fs/cgroup/memory")
_OOM_COUNTERS = (
    Path("/proc/vmstat"),  # of the whole machine, since Linux 4.13
    _V2 / "memory.events",
    _V1 / "memory.oom_control",
)

_M_MMAP_THRESHOLD = -3  # malloc.h
_LARGE_BYTES = 1_000_000


def free_bytes() -> int | None:
    """Memory this process may still take: of the machine and of its container; None if unknown."""
    known = [_machine_bytes(), *_container_bytes()]
    return min((size for size in known if size is not None), default=None)


def peak_growth(work: Callable[[], object]) -> int | None:
    """By how many bytes the process grew at most while `work` ran; None where nothing tells.

    Other threads count too, so it is asked when there are none.
    """
    try:
        _CLEAR.write_text("5")  # the peak begins anew; see proc(5)
        before = _status_bytes("VmRSS")
        work()
        return _status_bytes("VmHWM") - before
    except (OSError, KeyError):  # not Linux, or not allowed
        return None


def oom_kills() -> int | None:
    """How many processes the kernel has ended because memory ran out; None where it does not say.

    Only the growth of the number means something: a process may be counted more than once.
    """
    counts = [count for count in map(_oom_count, _OOM_COUNTERS) if count is not None]
    return sum(counts) if counts else None


def oom_kills_since(before: int | None) -> int | None:
    """By how much `oom_kills` has grown; None where the kernel does not say."""
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
    """What the limits of control groups leave, versions 2 and 1."""
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


def give_frames_back() -> None:
    """Let the C library hand large blocks back to the system, for the rest of the process.

    glibc learns from the first large block that is freed to keep such blocks in its heaps, one for
    each thread. Frames that are made by one thread and freed by another leave holes there: over 960
    frames of 720p a process grew by a fifth, and does not with this.
    """
    import ctypes

    with contextlib.suppress(OSError, AttributeError):  # not Linux, or another C library
        ctypes.CDLL("libc.so.6").mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
