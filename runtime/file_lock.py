"""Lock files and folders; a lock ends with the process that holds it."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Lock(enum.Enum):
    """Result of an attempt to lock a file."""

    HELD = "this process holds it"
    BUSY = "another one holds it"
    UNKNOWN = "Windows, or a file system without locks"


def try_lock(descriptor: int, *, shared: bool = False) -> Lock:
    """Lock an open file or folder without waiting; closing it, or ending the process, unlocks it.

    Args:
        descriptor: Descriptor of the open file. On NFS it must be open for writing.
        shared: Whether other processes may hold a shared lock at the same time.
    """
    try:
        import fcntl

        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
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


@contextmanager
def hold_lock_file(path: Path, *, shared: bool = False) -> Iterator[bool]:
    """Hold the lock of a file that exists as long as somebody holds it; yield whether it is held.

    Args:
        path: The file; its folder must exist.
        shared: Whether other processes may hold a shared lock at the same time.

    Yields:
        False if another process holds a lock that excludes this one; True where locks are not
        supported.
    """
    descriptor, lock = _open_locked(path, shared=shared)
    try:
        yield lock is not Lock.BUSY
    finally:
        if lock is Lock.HELD and try_lock(descriptor) is Lock.HELD:  # nobody shares it
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _open_locked(path: Path, *, shared: bool) -> tuple[int, Lock]:
    """Open and lock a file; again, if its holder has removed it meanwhile."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        lock = try_lock(descriptor, shared=shared)
        if lock is not Lock.HELD or _is_at(descriptor, path):
            return descriptor, lock
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
