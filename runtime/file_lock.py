"""Locks on files and folders that end with the process that holds them."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Lock(enum.Enum):
    """What came of an attempt to lock a file."""

    HELD = "this process holds it"
    BUSY = "another one holds it"
    UNKNOWN = "Windows, or a file system without locks"


def try_lock(descriptor: int) -> Lock:
    """Lock an open file or folder without waiting; closing it, or the end of the process, unlocks.

    Args:
        descriptor: Of the open file. On NFS it must be open for writing.
    """
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return Lock.BUSY
    except (ImportError, OSError):
        return Lock.UNKNOWN
    return Lock.HELD


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Whether no other process is in this block; yes, too, where nothing can tell."""
    try:
        file = path.open("ab")
    except FileNotFoundError:  # somebody was, and has removed the folder
        yield False
        return
    with file:
        yield try_lock(file.fileno()) is not Lock.BUSY
