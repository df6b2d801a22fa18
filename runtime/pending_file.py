"""Write files atomically: they appear under their names when they are complete.

A file, or a folder (`pending_folder.py`), is written beside its destination under a pending name,
`.NAME.xxxxxxxx.pending` (8 random hex digits), and renamed after it was synced to disk:

    write  ->  fsync of each file and folder  ->  rename  ->  fsync of the parent folder

So after a power failure either the old or the complete new content is there. An exception removes
the pending file. The writing process holds a lock on it; what a killed process left is unlocked,
and is removed by the next process that writes the same name (it stays where there are no locks: on
Windows, and for folders on NFS). Permissions are those of the umask.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vsrc.runtime.errors import DiskFullError, MediaError, VsrcError
from vsrc.runtime.file_lock import Lock
from vsrc.runtime.pending_claim import (
    claim,
    pending_name,
    remove_abandoned,
    sync_folder,
    taken_error,
    without_link,
)


class PendingFile:
    """A file that is being written.

    Args:
        path: Destination.
        within: Folder on the same disk for the pending file; None for that of `path`. All that
            killed processes left in it is removed.

    Attributes:
        path: Destination, with links resolved.
        file: File object, open for writing, reading and seeking.

    Raises:
        OSError: No file can be created there.
    """

    def __init__(self, path: Path, *, within: Path | None = None) -> None:
        self.path = path = without_link(path)
        if path.exists() and not path.is_file():
            raise FileExistsError(errno.EEXIST, "it is a folder, a device or a pipe", str(path))
        remove_abandoned(path, within)
        while True:
            self._pending = pending_name(path, within)
            try:
                self.file: IO[bytes] = self._pending.open("xb+")
                if (lock := claim(self.file.fileno(), self._pending)) is not None:
                    self._is_locked = lock is Lock.HELD
                    return
            except KeyboardInterrupt:
                self._pending.unlink(missing_ok=True)
                raise
            self.file.close()

    def commit(self, *, overwrite: bool = True) -> None:
        """Sync the file to disk and move it to its destination.

        Args:
            overwrite: Whether to replace an existing file.

        Raises:
            FileExistsError: The destination exists, and `overwrite` is off.
        """
        self.file.flush()
        os.fsync(self.file.fileno())
        if not self._is_locked:
            self.file.close()  # Windows cannot rename an open file, and has no lock to lose
        if overwrite:
            self._pending.replace(self.path)
        else:
            _rename_file_to_free_name(self._pending, self.path)
        self.file.close()
        sync_folder(self.path.parent)

    def discard(self) -> None:
        """Remove the file; after `commit` this does nothing."""
        try:
            self.file.close()
        except OSError:  # the disk is full: buffered data cannot be written, and is not needed
            pass
        finally:
            self._pending.unlink(missing_ok=True)


@contextmanager
def open_pending_file(
    path: Path, *, overwrite: bool = True, within: Path | None = None
) -> Iterator[IO[bytes]]:
    """Open a file that is moved to its path if the block succeeds; see `PendingFile`."""
    pending = PendingFile(path, within=within)
    try:
        yield pending.file
        pending.commit(overwrite=overwrite)
    finally:
        pending.discard()


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file atomically, text as UTF-8.

    A device or a pipe (`/dev/null`) is written directly.

    Raises:
        VsrcError: The file cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            path.write_bytes(data)
            return
        with open_pending_file(path) as file:
            file.write(data)
    except OSError as error:
        raise VsrcError(f"{path} cannot be written: {error.strerror}") from error


@contextmanager
def failures_named(path: Path) -> Iterator[None]:
    """Turn errors of encoders, muxers and the disk into one line about the output.

    Raises:
        DiskFullError: There is no space left.
        MediaError: Replaces any other error of FFmpeg or the system.
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


def _rename_file_to_free_name(pending: Path, path: Path) -> None:
    try:
        os.link(pending, path)  # unlike a rename, this does not overwrite
    except FileExistsError as error:
        raise taken_error(path) from error
    except OSError:  # a file system without hard links
        if path.exists():
            raise taken_error(path) from None
        pending.rename(path)
    else:
        pending.unlink()
