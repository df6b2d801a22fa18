"""Lock files and folders; a lock ends with the process that holds it."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Lock(enum.Enum):
    """Result of an attempt to lock a file."""

    HELD = "this process holds it"
    BUSY = "another one holds it"
    UNKNOWN = "Windows, or a file system without locks"


def try_lock(descriptor: int) -> Lock:
    """Lock an open file or folder without waiting; closing it, or ending the process, unlocks it.

    Args:
        descriptor: Descriptor of the open file. On NFS it must be open for writing.
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
    """Yield whether no other process is in this block; True where locks are not supported."""
    try:
        file = path.open("ab")
    except FileNotFoundError:  # another process was, and has removed the folder
        yield False
        return
    with file:
        yield try_lock(file.fileno()) is not Lock.BUSY
