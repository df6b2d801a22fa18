"""Names and locks of pending files and folders, and the removal of what killed processes left.

A pending name is `.NAME.xxxxxxxx.pending` (8 random hex digits). The process that writes it holds a
lock on it, so one without a lock is abandoned.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vsrc.runtime.file_lock import Lock, try_lock
from vsrc.runtime.hidden_name import hidden_name

_TOKEN_BYTES = 4
_DIGITS = "[0-9a-f]" * 2 * _TOKEN_BYTES


def random_token() -> str:
    """Return random hex digits for a hidden name."""
    return secrets.token_hex(_TOKEN_BYTES)


def pending_name(path: Path, within: Path | None) -> Path:
    """Return a new pending name for a destination; see `PendingFile` for `within`."""
    return (within or path.parent) / hidden_name(path.name, f"{random_token()}.pending")


def claim(descriptor: int, path: Path) -> Lock | None:
    """Lock a new file or folder; None if another process has removed it as abandoned."""
    lock = try_lock(descriptor)
    try:
        is_there = os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return None
    return lock if is_there and lock is not Lock.BUSY else None


def remove_abandoned(path: Path, within: Path | None) -> None:
    """Remove unlocked files that killed processes left of `path`, or of anything in `within`.

    A folder that was moved aside by `place_folder`, and not replaced, is moved back.
    """
    put_back(path)
    for aside in path.parent.glob(_hidden_names(path, "replaced")):
        with _locked_if_abandoned(aside) as is_abandoned:
            if is_abandoned:
                shutil.rmtree(aside, ignore_errors=True)
    names = f".*.{_DIGITS}.pending" if within else _hidden_names(path, "pending")
    for pending in (within or path.parent).glob(names):
        with _locked_if_abandoned(pending) as is_abandoned:
            if is_abandoned and pending.is_dir():
                shutil.rmtree(pending, ignore_errors=True)
            elif is_abandoned:
                pending.unlink(missing_ok=True)


def put_back(path: Path) -> None:
    """Move back a folder that a killed process had moved aside to replace it, if there is one.

    Raises:
        OSError: It cannot be moved.
    """
    for aside in path.parent.glob(_hidden_names(path, "replaced")):
        with _locked_if_abandoned(aside) as is_abandoned:
            if is_abandoned and not path.exists():
                aside.rename(path)


def _hidden_names(path: Path, ending: str) -> str:
    """Return a glob of the hidden names of a destination."""
    token = "\0" * 2 * _TOKEN_BYTES
    return glob.escape(hidden_name(path.name, f"{token}.{ending}")).replace(token, _DIGITS)


@contextmanager
def _locked_if_abandoned(path: Path) -> Iterator[bool]:
    """Yield whether a pending file or folder was unlocked; the block then holds its lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    except OSError:  # gone, or not ours
        yield False
        return
    try:
        yield try_lock(descriptor) is Lock.HELD
    finally:
        os.close(descriptor)


def without_link(path: Path) -> Path:
    """Return what a link points to, which is what is replaced; any other path as it is."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def taken_error(path: Path) -> FileExistsError:
    """Return the error that a path came into being meanwhile."""
    return FileExistsError(errno.EEXIST, "it was created by another process", str(path))


def open_folder(folder: Path) -> int | None:
    """Return a descriptor of a folder; None where the system has none."""
    try:
        return os.open(folder, os.O_RDONLY)
    except OSError:  # Windows cannot open folders
        return None


def sync_folder(folder: Path) -> None:
    """Sync the directory entries of a folder to disk, where the system supports it."""
    if (descriptor := open_folder(folder)) is None:
        return
    try:
        with contextlib.suppress(OSError):  # not supported by some file systems
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
