"""Write files and folders atomically: they appear under their names when they are complete.

Each is written beside its destination under a pending name, `.NAME.xxxxxxxx.pending` (8 random hex
digits), and renamed after it was synced to disk:

    write  ->  fsync of each file and folder  ->  rename  ->  fsync of the parent folder

So after a power failure either the old or the complete new content is there. An exception removes
the pending file. The writing process holds a lock on it; what a killed process left is unlocked,
and is removed by the next process that writes the same name (it stays where there are no locks: on
Windows, and for folders on NFS). Permissions are those of the umask.
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
from typing import IO

from vsrc.runtime.errors import DiskFullError, MediaError, VsrcError
from vsrc.runtime.file_lock import Lock, try_lock
from vsrc.runtime.hidden_name import hidden_name

_TOKEN_BYTES = 4


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
        self.path = path = _without_link(path)
        if path.exists() and not path.is_file():
            raise FileExistsError(errno.EEXIST, "it is a folder, a device or a pipe", str(path))
        _remove_abandoned(path, within)
        while True:
            self._pending = _pending_name(path, within)
            self.file: IO[bytes] = self._pending.open("xb+")
            if (lock := _claim(self.file.fileno(), self._pending)) is not None:
                self._is_locked = lock is Lock.HELD
                return
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
        _sync_folder(self.path.parent)

    def discard(self) -> None:
        """Remove the file; after `commit` this does nothing."""
        try:
            self.file.close()
        except OSError:  # the disk is full: buffered data cannot be written, and is not needed
            pass
        finally:
            self._pending.unlink(missing_ok=True)


class PendingFolder:
    """A folder that is being written.

    Args:
        path: Destination.
        within: Parent of the pending folder; see `PendingFile`.

    Attributes:
        path: Destination, with links resolved.
        folder: Pending folder to write to.

    Raises:
        OSError: No folder can be created there.
    """

    def __init__(self, path: Path, *, within: Path | None = None) -> None:
        self.path = path = _without_link(path)
        _remove_abandoned(path, within)
        while True:
            self.folder = _pending_name(path, within)
            self.folder.mkdir()
            self._mode = self.folder.stat().st_mode & 0o777  # that of the umask
            self._descriptor = _open_folder(self.folder)
            if self._descriptor is None or _claim(self._descriptor, self.folder) is not None:
                return
            self._unlock()

    def commit(self, *, overwrite: bool = True) -> None:
        """Sync the folder to disk and move it to its destination.

        Args:
            overwrite: Whether to replace an existing folder as a whole.

        Raises:
            FileExistsError: The destination exists, and `overwrite` is off.
        """
        self.set_permissions()
        place_folder(self.folder, self.path, overwrite=overwrite)
        self._unlock()

    def set_permissions(self) -> None:
        """Give all files and folders the permissions of the umask; `commit` does this, too."""
        _set_permissions(self.folder, self._mode)

    def discard(self) -> None:
        """Remove the folder and its contents; after `commit` this does nothing."""
        self._unlock()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _unlock(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


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


@contextmanager
def open_pending_folder(
    path: Path, *, overwrite: bool = True, within: Path | None = None
) -> Iterator[Path]:
    """Create a folder that is moved to its path if the block succeeds; see `PendingFolder`."""
    pending = PendingFolder(path, within=within)
    try:
        yield pending.folder
        pending.commit(overwrite=overwrite)
    finally:
        pending.discard()


@contextmanager
def open_pending_files(path: Path) -> Iterator[Path]:
    """Create a folder whose files are moved to the folder `path` if the block succeeds.

    See `place_files`.
    """
    pending = PendingFolder(path / "files")
    try:
        yield pending.folder
        pending.set_permissions()
        place_files(pending.folder, path)
    finally:
        pending.discard()


def place_folder(folder: Path, path: Path, *, overwrite: bool = False) -> None:
    """Sync a folder to disk and rename it.

    Args:
        folder: Folder on the same disk as `path`.
        path: New path of the folder.
        overwrite: Whether to replace an existing folder as a whole.

    Raises:
        FileExistsError: The destination exists, and `overwrite` is off.
    """
    _sync_tree(folder)
    if overwrite and path.is_dir():
        _swap_folders(folder, path)
    else:
        _rename_folder_to_free_name(folder, path)
    _sync_folder(path.parent)


def place_files(folder: Path, path: Path) -> None:
    """Move each file to the same relative path below `path`, and remove `folder`.

    `path` may contain other files. All files are synced to disk before the first is moved. During
    the moves a reader may see new and old files: a file that lists them must be written afterwards.
    """
    _sync_tree(folder)
    for file in sorted(file for file in folder.rglob("*") if not file.is_dir()):
        place = path / file.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        file.replace(place)
    for made in [folder, *filter(Path.is_dir, folder.rglob("*"))]:
        _sync_folder(path / made.relative_to(folder))
    shutil.rmtree(folder)


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


def _without_link(path: Path) -> Path:
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _pending_name(path: Path, within: Path | None) -> Path:
    token = secrets.token_hex(_TOKEN_BYTES)
    return (within or path.parent) / hidden_name(path.name, f"{token}.pending")


def _claim(descriptor: int, path: Path) -> Lock | None:
    """Lock a new file or folder; None if another process has removed it as abandoned."""
    lock = try_lock(descriptor)
    try:
        is_there = os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return None
    return lock if is_there and lock is not Lock.BUSY else None


def _remove_abandoned(path: Path, within: Path | None) -> None:
    """Remove unlocked files that killed processes left of `path`, or of anything in `within`.

    A folder that was moved aside by `_swap_folders`, and not replaced, is moved back.
    """
    digits = "[0-9a-f]" * 2 * _TOKEN_BYTES
    token = "\0" * 2 * _TOKEN_BYTES
    own, moved = (
        glob.escape(hidden_name(path.name, f"{token}.{ending}")).replace(token, digits)
        for ending in ("pending", "replaced")
    )
    for aside in path.parent.glob(moved):
        with _locked_if_abandoned(aside) as is_abandoned:
            if is_abandoned and not path.exists():
                aside.rename(path)
            elif is_abandoned:
                shutil.rmtree(aside, ignore_errors=True)
    for pending in (within or path.parent).glob(f".*.{digits}.pending" if within else own):
        with _locked_if_abandoned(pending) as is_abandoned:
            if is_abandoned and pending.is_dir():
                shutil.rmtree(pending, ignore_errors=True)
            elif is_abandoned:
                pending.unlink(missing_ok=True)


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


def _sync_tree(folder: Path) -> None:
    """Sync all files of a folder to disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
    for made in [folder, *filter(Path.is_dir, folder.rglob("*"))]:
        _sync_folder(made)


def _set_permissions(folder: Path, mode: int) -> None:
    """Give files and folders the permissions of new ones.

    Some libraries, such as safetensors, create private files, and copies have those of the source.
    """
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(mode if path.is_dir() else mode & 0o666)


def _swap_folders(new: Path, old: Path) -> None:
    """Replace `old` by `new`; for a moment neither exists."""
    aside = old.with_name(hidden_name(old.name, f"{secrets.token_hex(_TOKEN_BYTES)}.replaced"))
    descriptor = _open_folder(old)
    try:
        if descriptor is not None:
            try_lock(descriptor)
        old.rename(aside)
        try:
            new.rename(old)
        except BaseException:
            aside.rename(old)
            raise
    finally:
        if descriptor is not None:
            os.close(descriptor)
    shutil.rmtree(aside, ignore_errors=True)


def _rename_file_to_free_name(pending: Path, path: Path) -> None:
    try:
        os.link(pending, path)  # unlike a rename, this does not overwrite
    except FileExistsError as error:
        raise _taken(path) from error
    except OSError:  # a file system without hard links
        if path.exists():
            raise _taken(path) from None
        pending.rename(path)
    else:
        pending.unlink()


def _rename_folder_to_free_name(pending: Path, path: Path) -> None:
    if path.exists():  # a rename would replace an empty folder
        raise _taken(path)
    try:
        pending.rename(path)
    except OSError as error:
        if path.exists():
            raise _taken(path) from error
        raise


def _taken(path: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, "it was created by another process", str(path))


def _open_folder(folder: Path) -> int | None:
    try:
        return os.open(folder, os.O_RDONLY)
    except OSError:  # Windows cannot open folders
        return None


def _sync_folder(folder: Path) -> None:
    """Sync the directory entries of a folder to disk, where the system supports it."""
    if (descriptor := _open_folder(folder)) is None:
        return
    try:
        with contextlib.suppress(OSError):  # not supported by some file systems
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
