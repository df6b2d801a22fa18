"""Write folders atomically: they appear under their names when they are complete.

They are written, claimed and synced as files are; see `pending_file.py`.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vsrc.runtime.file_lock import try_lock
from vsrc.runtime.hidden_name import hidden_name
from vsrc.runtime.pending_claim import (
    claim,
    open_folder,
    pending_name,
    random_token,
    remove_abandoned,
    sync_folder,
    taken_error,
    without_link,
)

_DRAFTS: set[str] = set()
"""Real paths of the folders that this process is writing, and whose locks it holds."""


def is_own_draft(folder: Path) -> bool:
    """Whether a folder is one that this process is writing: no other process changes it."""
    return os.path.realpath(folder) in _DRAFTS


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
        self.path = path = without_link(path)
        remove_abandoned(path, within)
        while not self._create(within):
            pass
        self._draft = os.path.realpath(self.folder)
        _DRAFTS.add(self._draft)

    def _create(self, within: Path | None) -> bool:
        """Create and lock the folder; False if another process removed it as abandoned before."""
        self.folder = pending_name(self.path, within)
        self.folder.mkdir()
        self._descriptor = open_folder(self.folder)
        if self._descriptor is not None and claim(self._descriptor, self.folder) is None:
            os.close(self._descriptor)
            return False
        try:
            self._mode = self.folder.stat().st_mode & 0o777  # that of the umask
        except FileNotFoundError:  # removed before it was opened
            return False
        return True

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
        _DRAFTS.discard(self._draft)
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


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


def place_folder(folder: Path, path: Path, *, overwrite: bool = False) -> None:
    """Sync a folder to disk and rename it.

    Args:
        folder: Folder on the same disk as `path`.
        path: New path of the folder.
        overwrite: Whether to replace an existing folder as a whole.

    Raises:
        FileExistsError: The destination exists, and `overwrite` is off.
    """
    sync_tree(folder)
    if overwrite and path.is_dir():
        _swap_folders(folder, path)
    else:
        _rename_folder_to_free_name(folder, path)
    sync_folder(path.parent)


def place_files(folder: Path, path: Path) -> None:
    """Move each file to the same relative path below `path`, and remove `folder`.

    `path` may contain other files. All files are synced to disk before the first is moved. During
    the moves a reader may see new and old files: a file that lists them must be written afterwards.
    """
    sync_tree(folder)
    for file in sorted(file for file in folder.rglob("*") if not file.is_dir()):
        place = path / file.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        file.replace(place)
    for made in [folder, *filter(Path.is_dir, folder.rglob("*"))]:
        sync_folder(path / made.relative_to(folder))
    shutil.rmtree(folder)


def sync_tree(folder: Path) -> None:
    """Sync a folder to disk, with everything in it."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
    for made in [folder, *filter(Path.is_dir, folder.rglob("*"))]:
        sync_folder(made)


def _set_permissions(folder: Path, mode: int) -> None:
    """Give files and folders the permissions of new ones.

    Some libraries, such as safetensors, create private files, and copies have those of the source.
    """
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(mode if path.is_dir() else mode & 0o666)


def _swap_folders(new: Path, old: Path) -> None:
    """Replace `old` by `new`; without an exchange of names, for a moment neither exists."""
    if _exchange(new, old):
        shutil.rmtree(new, ignore_errors=True)
        return
    aside = old.with_name(hidden_name(old.name, f"{random_token()}.replaced"))
    descriptor = open_folder(old)
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


def _exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two folders in one step; False where the system cannot."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:  # not Linux, or a C library older than glibc 2.28
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    names = here, os.fsencode(one), here, os.fsencode(other)
    return int(rename(*names, ctypes.c_uint(exchange))) == 0


def _rename_folder_to_free_name(pending: Path, path: Path) -> None:
    if path.exists():  # a rename would replace an empty folder
        raise taken_error(path)
    try:
        pending.rename(path)
    except OSError as error:
        if path.exists():
            raise taken_error(path) from error
        raise
