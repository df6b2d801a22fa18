"""Replace files of a package together with its `model.json`, as one step.

    pending folder in the package  ->  rename to .vsrc-update  ->  move its files, model.json last

The rename decides: before it the package is the old one, after it the new one. If a process is
killed during the moves, the next one that opens the package does the rest. A lock on the folder of
the package makes other processes wait; a package that this process is still writing is locked
already.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vsrc.runtime.errors import SpecError
from vsrc.runtime.file_lock import Lock, try_lock
from vsrc.runtime.pending_claim import open_folder, sync_folder
from vsrc.runtime.pending_folder import PendingFolder, is_own_draft, sync_tree

_FOLDER = ".vsrc-update"
_WAIT_SECONDS = 60.0
_POLL_SECONDS = 0.02


@contextmanager
def open_update(path: Path, *, last: str) -> Iterator[Path]:
    """Create a folder whose files replace those of a package if the block succeeds.

    No other update of the package begins before this one ends, so the block may read `last` and
    write another version of it.

    Args:
        path: Folder of the package.
        last: File that describes the others. An update without it counts as incomplete.

    Raises:
        SpecError: Another process is updating the package, and does not end.
        OSError: The files cannot be written.
    """
    with _hold(path):
        _move(path, last=last)
        pending = PendingFolder(path / "update")
        try:
            yield pending.folder
            pending.set_permissions()
            sync_tree(pending.folder)
            pending.folder.rename(path / _FOLDER)
            sync_folder(path)
            _move(path, last=last)
        finally:
            pending.discard()


def finish_update(path: Path, *, last: str) -> None:
    """Move the files of an update that was stopped; without one this does nothing.

    Args:
        path: Folder of the package.
        last: As for `open_update`.

    Raises:
        SpecError: The files cannot be moved, or would leave the package.
    """
    if not os.path.lexists(path / _FOLDER):
        return
    with _hold(path):
        try:
            _move(path, last=last)
        except OSError as error:
            raise SpecError(
                f"{path}: an export was stopped before all its files were in place, and the rest "
                f"cannot be moved from {path / _FOLDER} ({error.strerror}); make the package "
                "writable, and run the command again"
            ) from error


def _move(path: Path, *, last: str) -> None:
    """Move the files of a complete update, if there is one, to their places."""
    update = path / _FOLDER
    if not os.path.lexists(update):
        return
    files = _files_of(update, last=last)
    places = [path / file.relative_to(update) for file in files]
    for place in places:
        if not Path(os.path.realpath(place.parent)).is_relative_to(os.path.realpath(path)):
            raise SpecError(f"{place} is outside of {path}, through a link; remove {update}")
    for file, place in zip(files, places, strict=True):
        if file == update / last:  # not on the disk before the files that it describes
            for folder in {place.parent for place in places}:
                sync_folder(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        file.replace(place)
    sync_folder(path)
    shutil.rmtree(update)


def _files_of(update: Path, *, last: str) -> list[Path]:
    """List the files of an update in the order of their moves; none if all were moved."""
    if update.is_symlink() or not update.is_dir():
        raise SpecError(f"{update} is not a folder of vsrc; remove it")
    files = [file for file in update.rglob("*") if file.is_file() and not file.is_symlink()]
    if files and update / last not in files:
        raise SpecError(f"{update} lacks {last}: it is not a folder of vsrc; remove it")
    return sorted(files, key=lambda file: (file == update / last, file))


@contextmanager
def _hold(path: Path) -> Iterator[None]:
    """Hold the lock of a package; without waiting where the system has no locks on folders."""
    if is_own_draft(path):
        yield
        return
    descriptor = open_folder(path)
    try:
        stop = time.monotonic() + _WAIT_SECONDS
        while descriptor is not None and try_lock(descriptor) is Lock.BUSY:
            if time.monotonic() > stop:
                raise SpecError(
                    f"{path} is being changed by another process; run the command again when that "
                    "has ended"
                )
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
