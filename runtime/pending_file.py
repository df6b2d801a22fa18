"""Files and folders that appear under their names when they are complete, or not at all.

Each is written beside its place under a pending name, `.NAME.xxxxxxxx.pending` (8 random hex
digits), and renamed when all of it has reached the disk:

    write  ->  fsync of each file and folder  ->  rename  ->  fsync of the parent folder

So a power cut leaves what was there before, or all of the new. An exception removes the pending
name. The process that writes holds a lock on it; what a killed process left has none, and is
removed by the next one that writes the same name (it stays where the system has no locks: Windows,
and folders on NFS). Permissions are those of the umask.
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

_TOKEN_BYTES = 4


class PendingFile:
    """A file that is being written.

    Args:
        path: Where it will be.
        within: Folder on the same disk to write it in; None for that of `path`. All that killed
            processes left in it is removed.

    Attributes:
        path: Where it will be; the end of a link.
        file: Open for writing, reading and seeking.

    Raises:
        OSError: No file can be made there.
    """

    def __init__(self, path: Path, *, within: Path | None = None) -> None:
        self.path = path = _without_link(path)
        _remove_abandoned(path, within)
        while True:
            self._pending = _pending_name(path, within)
            self.file: IO[bytes] = self._pending.open("xb+")
            if (lock := _claim(self.file.fileno(), self._pending)) is not None:
                self._is_locked = lock is Lock.HELD
                return
            self.file.close()

    def commit(self, *, overwrite: bool = True) -> None:
        """Put the file in its place, after its bytes have reached the disk.

        Args:
            overwrite: Replace what is there.

        Raises:
            FileExistsError: Something is there, and `overwrite` is off.
        """
        self.file.flush()
        os.fsync(self.file.fileno())
        if not self._is_locked:
            self.file.close()  # Windows renames no open file, and has no lock that would be lost
        if overwrite:
            self._pending.replace(self.path)
        else:
            _rename_file_to_free_name(self._pending, self.path)
        self.file.close()
        _sync_folder(self.path.parent)

    def discard(self) -> None:
        """Remove it; nothing happens once it was committed."""
        try:
            self.file.close()
        except OSError:  # the disk is full: what was buffered cannot be written, and need not be
            pass
        finally:
            self._pending.unlink(missing_ok=True)


class PendingFolder:
    """A folder that is being filled.

    Args:
        path: Where it will be.
        within: As for `PendingFile`.

    Attributes:
        path: Where it will be; the end of a link.
        folder: To write in.

    Raises:
        OSError: No folder can be made there.
    """

    def __init__(self, path: Path, *, within: Path | None = None) -> None:
        self.path = path = _without_link(path)
        _remove_abandoned(path, within)
        while True:
            self.folder = _pending_name(path, within)
            self.folder.mkdir()
            self._descriptor = _open_folder(self.folder)
            if self._descriptor is None or _claim(self._descriptor, self.folder) is not None:
                return
            self._unlock()

    def commit(self, *, overwrite: bool = True) -> None:
        """Put the folder in its place, after all in it has reached the disk.

        Args:
            overwrite: Replace the folder that is there, as a whole.

        Raises:
            FileExistsError: Something is there, and `overwrite` is off.
        """
        place_folder(self.folder, self.path, overwrite=overwrite)
        self._unlock()

    def discard(self) -> None:
        """Remove it with all in it; nothing happens once it was committed."""
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
    """A file to write, which takes its place when the block ends well; see `PendingFile`."""
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
    """A folder to fill, which takes its place when the block ends well; see `PendingFolder`."""
    pending = PendingFolder(path, within=within)
    try:
        yield pending.folder
        pending.commit(overwrite=overwrite)
    finally:
        pending.discard()


@contextmanager
def open_pending_files(path: Path) -> Iterator[Path]:
    """A folder to fill, whose files are added to the folder `path` when the block ends well.

    See `place_files`.
    """
    pending = PendingFolder(path / "files")
    try:
        yield pending.folder
        place_files(pending.folder, path)
    finally:
        pending.discard()


def place_folder(folder: Path, path: Path, *, overwrite: bool = False) -> None:
    """Give a folder its name, after all in it has reached the disk.

    Args:
        folder: On the same disk as `path`.
        path: Its new name.
        overwrite: Replace the folder that is there, as a whole.

    Raises:
        FileExistsError: Something is there, and `overwrite` is off.
    """
    _sync_tree(folder)
    if overwrite and path.is_dir():
        _swap_folders(folder, path)
    else:
        _rename_folder_to_free_name(folder, path)
    _sync_folder(path.parent)


def place_files(folder: Path, path: Path) -> None:
    """Move each file to the same place below `path`, which may hold others; remove `folder`.

    All of them have reached the disk before the first is moved. Between the first and the last a
    reader may meet some new and some old ones: a file that lists them must be written after this.
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
    """Write a file, text as UTF-8; what was there stays until all of it is on the disk.

    A device or a pipe (`/dev/null`) is written as it stands.

    Raises:
        VsrcError: It cannot be written.
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


def check_place(path: Path) -> None:
    """Refuse a place that `write_file` could not write to, before the work and not after.

    Raises:
        VsrcError: The folder is not there, or may not be written to.
    """
    folder = path.parent
    if not folder.is_dir():
        raise VsrcError(f"{path} cannot be written: {folder} is not a folder that exists")
    if path.is_dir() or not os.access(folder, os.W_OK):
        raise VsrcError(f"{path} cannot be written: it is a folder, or {folder} is protected")


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


def _without_link(path: Path) -> Path:
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _pending_name(path: Path, within: Path | None) -> Path:
    return (within or path.parent) / f".{path.name}.{secrets.token_hex(_TOKEN_BYTES)}.pending"


def _claim(descriptor: int, path: Path) -> Lock | None:
    """Lock what was just made; None where another process took it for abandoned before that."""
    lock = try_lock(descriptor)
    try:
        is_there = os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return None
    return lock if is_there and lock is not Lock.BUSY else None


def _remove_abandoned(path: Path, within: Path | None) -> None:
    """Remove what killed processes left of `path`, or of anything in `within`: it has no lock.

    A folder that was moved aside by `_swap_folders`, and not replaced, is put back.
    """
    digits = "[0-9a-f]" * 2 * _TOKEN_BYTES
    own = glob.escape(path.name)
    for aside in path.parent.glob(f".{own}.{digits}.replaced"):
        with _locked_if_abandoned(aside) as is_abandoned:
            if is_abandoned and not path.exists():
                aside.rename(path)
            elif is_abandoned:
                shutil.rmtree(aside, ignore_errors=True)
    for pending in (within or path.parent).glob(f".{'*' if within else own}.{digits}.pending"):
        with _locked_if_abandoned(pending) as is_abandoned:
            if is_abandoned and pending.is_dir():
                shutil.rmtree(pending, ignore_errors=True)
            elif is_abandoned:
                pending.unlink(missing_ok=True)


@contextmanager
def _locked_if_abandoned(path: Path) -> Iterator[bool]:
    """Whether nobody held the lock of a pending file or folder, which this block then holds."""
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
    """Bring all in a folder to the disk, as readable as the umask let the folder itself be."""
    allowed = folder.stat().st_mode & 0o777
    for path in folder.rglob("*"):
        # safetensors, among others, makes its files private.
        path.chmod(path.stat().st_mode | (allowed if path.is_dir() else allowed & 0o666))
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
    for made in [folder, *filter(Path.is_dir, folder.rglob("*"))]:
        _sync_folder(made)


def _swap_folders(new: Path, old: Path) -> None:
    """Put `new` in the place of `old`; there is a moment in which neither is there."""
    aside = old.with_name(f".{old.name}.{secrets.token_hex(_TOKEN_BYTES)}.replaced")
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
        os.link(pending, path)  # unlike a rename, it replaces nothing
    except FileExistsError as error:
        raise _taken(path) from error
    except OSError:  # a file system without hard links
        if path.exists():
            raise _taken(path) from None
        pending.rename(path)
    else:
        pending.unlink()


def _rename_folder_to_free_name(pending: Path, path: Path) -> None:
    if path.exists():  # the system itself would replace an empty folder
        raise _taken(path)
    try:
        pending.rename(path)
    except OSError as error:
        if path.exists():
            raise _taken(path) from error
        raise


def _taken(path: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, "something else was put there meanwhile", str(path))


def _open_folder(folder: Path) -> int | None:
    try:
        return os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folder
        return None


def _sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system has a way to ask for that."""
    if (descriptor := _open_folder(folder)) is None:
        return
    try:
        with contextlib.suppress(OSError):  # some file systems refuse
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
