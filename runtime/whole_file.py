"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from vsrc.runtime.errors import VsrcError


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file by way of a temporary sibling; what was there stays until it is complete.

    Raises:
        VsrcError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        temporary.replace(path)
    except OSError as error:
        raise VsrcError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        if temporary.exists():
            temporary.unlink()


def check_place(path: Path) -> None:
    """Refuse a place that `write_whole` could not write to, before the work and not after.

    Raises:
        VsrcError: The folder is not there, or may not be written to.
    """
    folder = path.parent
    if not folder.is_dir():
        raise VsrcError(f"{path} cannot be written: {folder} is not a folder that exists")
    if path.is_dir() or not os.access(folder, os.W_OK):
        raise VsrcError(f"{path} cannot be written: it is a folder, or {folder} is protected")
