"""Files and folders of the cache that appear whole or not at all.

They are filled under `<cache>/partial` (see `pending_file`). What a full or read-only disk says
becomes one line with a way out.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vsrc.runtime.errors import DataError
from vsrc.runtime.pending_file import PendingFolder, open_pending_file

_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


@contextmanager
def whole_folder(folder: Path, *, cache: Path, size_bytes: int) -> Iterator[Path]:
    """A folder to fill; it replaces `folder`, unless another process was faster.

    Args:
        folder: Its place in the end.
        cache: Root of the cache.
        size_bytes: About how much will be written.

    Raises:
        DataError: The disk is too small or cannot be written.
    """
    with _partial(cache, size_bytes) as within:
        pending = PendingFolder(folder, within=within)
        try:
            yield pending.folder
            folder.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(folder, ignore_errors=True)  # only what was found damaged is in the way
            with contextlib.suppress(FileExistsError):  # the same frames, put there a moment ago
                pending.commit(overwrite=False)
        finally:
            pending.discard()


@contextmanager
def whole_file(path: Path, *, cache: Path, size_bytes: int) -> Iterator[IO[bytes]]:
    """A file to write; it replaces `path`.

    Args:
        path: Its place in the end.
        cache: Root of the cache.
        size_bytes: About how much will be written.

    Raises:
        DataError: The disk is too small or cannot be written.
    """
    with _partial(cache, size_bytes) as within, open_pending_file(path, within=within) as file:
        yield file
        path.parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def _partial(cache: Path, size_bytes: int) -> Iterator[Path]:
    try:
        place = cache / "partial"
        place.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(place).free
        if size_bytes > free:
            raise OSError(errno.ENOSPC, f"{_text(size_bytes)} needed, {_text(free)} free")
        yield place
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        raise DataError(
            f"the cache of decoded frames in {cache} cannot be written: {error.strerror}; free "
            "space there, choose another place (--set cache=DIR), or keep smaller frames "
            "(--set max_height=360)"
        ) from error


def _text(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.3g} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.3g} MB"
