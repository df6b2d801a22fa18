"""A file that appears under its name when it is complete, or not at all."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vsrc.runtime.errors import DiskFullError, MediaError


class PartFile:
    """A file written beside its final place, under a hidden name.

    Attributes:
        path: Where it will be.
        file: Open for writing and seeking.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _remove_orphans(path)
        token = secrets.token_hex(4)
        self._temporary = path.with_name(f".{path.stem}.{token}.part{path.suffix}")
        try:
            self.file: IO[bytes] = self._temporary.open("xb+")
        except OSError as error:
            raise MediaError(f"{path} cannot be written: {error.strerror}") from error
        _lock(self.file)

    def commit(self) -> None:
        """Put the file in its place, after its bytes have reached the disk."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        self._temporary.replace(self.path)

    def discard(self) -> None:
        """Remove it; nothing happens once it was committed."""
        try:
            self.file.close()
        except OSError:  # the disk is full: what was buffered cannot be written, and need not be
            pass
        finally:
            self._temporary.unlink(missing_ok=True)


def _remove_orphans(path: Path) -> None:
    """Remove what processes that were killed left of this output: nobody holds its lock."""
    for orphan in path.parent.glob(f".{glob.escape(path.stem)}.????????.part{path.suffix}"):
        with contextlib.suppress(OSError), orphan.open("rb") as file:
            if _lock(file):
                orphan.unlink()


def _lock(file: IO[bytes]) -> bool:
    """Whether the file is locked now; the lock ends with the process."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):  # Windows, or a file system without locks: orphans stay
        return False
    return True


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Whether no other process is in this block; yes, too, where nothing can tell."""
    try:
        file = path.open("ab")
    except FileNotFoundError:  # somebody was, and has removed the folder
        yield False
        return
    with file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except (ImportError, OSError):
            pass
        yield True


@contextmanager
def failures_named(path: Path) -> Iterator[None]:
    """Turn what an encoder, a muxer or the disk says into one line about the output.

    Raises:
        DiskFullError: There is no room left.
        MediaError: In place of any other of FFmpeg's errors and of the system's.
    """
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        code, reason = getattr(error, "errno", None), getattr(error, "strerror", None) or error
        if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFullError(
                f"{path}: there is no room left for it ({reason}), so the unfinished result was "
                "removed; free some space, or write elsewhere"
            ) from error
        raise MediaError(f"{path} cannot be written: {reason}") from error
