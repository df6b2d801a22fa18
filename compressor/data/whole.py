"""Write files and folders of the cache atomically: complete or not at all.

They are filled under `<cache>/partial` (see `pending_file`). Errors of a full or read-only disk
become one line that says what to do.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vsrc.runtime.errors import DataError
from vsrc.runtime.pending_file import open_pending_file
from vsrc.runtime.pending_folder import PendingFolder

_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


@contextmanager
def whole_folder(
    folder: Path, *, cache: Path, size_bytes: int, is_whole: Callable[[Path], bool]
) -> Iterator[Path]:
    """Yield a folder to fill; it then becomes `folder`, unless another process was faster.

    A damaged one that lies there at the start is removed. A whole one is kept: another process
    wrote it since the caller looked, and may use it.

    Args:
        folder: Final path.
        cache: Root of the cache.
        size_bytes: Estimated size of the data, bytes.
        is_whole: Whether a folder at the final path is complete and undamaged.

    Raises:
        DataError: The disk is too small or cannot be written.
    """
    with _partial(cache, size_bytes) as within:
        if not is_whole(folder):
            shutil.rmtree(folder, ignore_errors=True)
        pending = PendingFolder(folder, within=within)
        try:
            yield pending.folder
            folder.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):  # another process was faster
                pending.commit(overwrite=False)
        finally:
            pending.discard()


@contextmanager
def whole_file(path: Path, *, cache: Path, size_bytes: int) -> Iterator[IO[bytes]]:
    """Yield a file to write; it then replaces `path`.

    Args:
        path: Final path.
        cache: Root of the cache.
        size_bytes: Estimated size of the data, bytes.

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
