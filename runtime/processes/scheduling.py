"""Keep encoders from changing how the process is scheduled."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TASKS = Path("/proc/self/task")


@contextmanager
def keep_scheduling() -> Iterator[None]:
    """Undo changes of scheduling policies in this block; new threads get the calling one's.

    SVT-AV1, opened as root, gives its threads and the calling one the policy SCHED_FIFO at priority
    99: nothing else runs on their cores, and children inherit it.
    """
    if not _TASKS.is_dir():
        yield
        return
    own, before = _policy(0), dict(_policies())
    try:
        yield
    finally:
        for thread, found in _policies():
            wanted = before.get(thread, own)
            if found != wanted:
                with suppress(OSError):  # it has ended
                    os.sched_setscheduler(thread, wanted[0], os.sched_param(wanted[1]))


def _policies() -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield each thread of this process, and its policy."""
    for task in _TASKS.iterdir():
        with suppress(OSError):  # it has ended
            yield int(task.name), _policy(int(task.name))


def _policy(thread: int) -> tuple[int, int]:
    """Policy and static priority of a thread; 0 is the calling one."""
    return os.sched_getscheduler(thread), os.sched_getparam(thread).sched_priority
