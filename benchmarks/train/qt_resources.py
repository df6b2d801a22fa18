"""Files inside a Qt resource bundle (`.rcc`), as QtCore's `rcc --binary` writes it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

_COMPRESSED, _FOLDER = 1, 2


def iter_resources(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and contents of every file of the bundle.

    Raises:
        ValueError: Not a bundle, or one compressed by something newer than zlib.
    """
    data = path.read_bytes()
    magic, version, tree, blobs, names = struct.unpack_from(">4sIIII", data)
    if magic != b"qres":
        raise ValueError(f"{path} begins with {magic!r}; expected a Qt resource bundle (qres)")
    entry_bytes = 22 if version >= 2 else 14  # the newer one ends with a time of change
    number = 0
    last = 0
    while number <= last:
        name_at, flags, first, second = struct.unpack_from(
            ">IHII", data, tree + number * entry_bytes
        )
        if flags & _FOLDER:  # first: number of entries, second: where they begin
            last = max(last, second + first - 1)
        else:
            yield _name(data, names + name_at), _contents(data, blobs + second, flags, path)
        number += 1


def _name(data: bytes, at: int) -> str:
    (length,) = struct.unpack_from(">H", data, at)
    return data[at + 6 : at + 6 + 2 * length].decode("utf-16-be")


def _contents(data: bytes, at: int, flags: int, path: Path) -> bytes:
    (length,) = struct.unpack_from(">I", data, at)
    blob = data[at + 4 : at + 4 + length]
    if flags & _COMPRESSED:
        return zlib.decompress(blob[4:])
    if flags & ~_FOLDER:
        raise ValueError(f"{path}: compression {flags} is not known")
    return blob
