"""What an MP4 or MOV that was cut off lacks, by its outermost boxes (ISO/IEC 14496-12, 4.2).

whole        ftyp moov mdat              or  ftyp mdat moov
cut off      ftyp mdat                   the index (moov) was to follow
fragments    ftyp moov moof mdat moof mdat mo    each part has an index of its own (moof)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_FIRST = frozenset((b"ftyp", b"mdat", b"moov", b"free", b"skip", b"wide", b"pnot"))
"""Boxes that such files begin with; those before `ftyp` was specified have none."""


def lacks_index(path: Path) -> bool:
    """Whether a file is an MP4 or MOV without the box that says where its pictures are."""
    names = [name for name, _, _ in _iter_boxes(path)]
    return bool(names) and not {b"moov", b"moof"} & set(names)


def end_of_fragments(path: Path) -> int:
    """Return the place behind the last whole fragment of a file that ends in one; 0 for others."""
    size = path.stat().st_size
    end = 0
    for name, start, stop in _iter_boxes(path):
        if name == b"moof" and stop > size:
            return end
        if name == b"mdat":
            end = start if stop > size else stop
    return 0


def _iter_boxes(path: Path) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each box and the places of its first byte and behind its last."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = 0
        while start + 8 <= size:
            file.seek(start)
            head = file.read(16)
            name, length = head[4:8], int.from_bytes(head[:4], "big")
            if start == 0 and name not in _FIRST:
                return
            if length == 1:  # the real one follows
                length = int.from_bytes(head[8:16], "big")
            elif length == 0:  # up to the end
                length = size - start
            if length < 8:
                return
            yield name, start, start + length
            start += length
