"""Files and folders of the cache that appear whole or not at all.

They are filled under `<cache>/partial` and renamed when they are complete. What a full or read-only
disk says becomes one line with a way out; what a killed process left is removed by the next one.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vsrc.runtime.errors import DataError

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
    with _scratch(cache, size_bytes) as scratch:
        partial = scratch / folder.name
        partial.mkdir()
        yield partial
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)  # only what was found damaged is in the way
        try:
            partial.rename(folder)
        except OSError:
            if not folder.is_dir():  # else it holds the same frames, put there a moment ago
                raise


@contextmanager
def whole_file(path: Path, *, cache: Path, size_bytes: int) -> Iterator[Path]:
    """A file to write; it replaces `path`.

    Args:
        path: Its place in the end.
        cache: Root of the cache.
        size_bytes: About how much will be written.

    Raises:
        DataError: The disk is too small or cannot be written.
    """
    with _scratch(cache, size_bytes) as scratch:
        yield scratch / path.name
        path.parent.mkdir(parents=True, exist_ok=True)
        (scratch / path.name).replace(path)


@contextmanager
def _scratch(cache: Path, size_bytes: int) -> Iterator[Path]:
    try:
        place = cache / "partial"
        place.mkdir(parents=True, exist_ok=True)
        _clear_crashed(place)
        free = shutil.disk_usage(place).free
        if size_bytes > free:
            raise OSError(errno.ENOSPC, f"{_text(size_bytes)} needed, {_text(free)} free")
        owner = f"{socket.gethostname()}-{os.getpid()}-"
        with tempfile.TemporaryDirectory(dir=place, prefix=owner) as scratch:
            yield Path(scratch)
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        raise DataError(
            f"the cache of decoded frames in {cache} cannot be written: {error.strerror}; free "
            "space there, choose another place (--set cache=DIR), or keep smaller frames "
            "(--set max_height=360)"
        ) from error


def _clear_crashed(place: Path) -> None:
    """Remove what processes of this machine left behind that are no more."""
    if not Path("/proc/self").exists():
        return
    for folder in place.glob(f"{socket.gethostname()}-*-*"):
        pid = folder.name.split("-")[-2]
        if pid.isdecimal() and not Path("/proc", pid).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _text(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.3g} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.3g} MB"
