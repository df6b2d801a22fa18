"""Find where a file goes on with other codecs, as `cat h264.ts hevc.ts` does.

FFmpeg keeps the decoders and parsers of the first recording. So each recording is opened for
itself, by its place in the file:

    tables    PAT PMT                  PMT | PAT PMT              PMT: the codec of each packet ID
    codecs    256 H.264, 257 MP2           | 256 HEVC, 257 AAC
    parts     [0                           )
                                           [                      end)

Tables: ISO/IEC 13818-1, sections 2.4.4.3 (PAT) and 2.4.4.8 (PMT). Of program streams, which have
none, see `program_streams`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.decode.transport.program_streams import PACK, VideoKinds
from vsrc.runtime.decode.transport.transport_packets import (
    HEAD_BYTES,
    PacketLayout,
    PacketRun,
    find_layout,
    find_packets,
)

_CHUNK_BYTES = 8 << 20
_WHOLE_BYTES = 64 << 20
"""Size up to which all of a file is read; of a larger one, a sample in each stride."""

_SAMPLE_BYTES, _STRIDES = 1 << 20, 64
_SHORTEST_BYTES, _LONGEST_BYTES = 8 << 20, 32 << 20
"""A stride is a 64th of the file, within these limits. A recording shorter than that, between two
of other codecs, may be missed."""

_VIDEO = frozenset((0x01, 0x02, 0x10, 0x1B, 0x20, 0x24, 0x33, 0x42, 0xD1, 0xD2, 0xEA))
"""Stream types of video (table 2-34, and those of AVS, Dirac and VC-1)."""

_PRIVATE = 0x06
_REGISTRATION = 0x05
_CODEC_DESCRIPTORS = frozenset((_REGISTRATION, 0x56, 0x59, 0x6A, 0x7A, 0x7B, 0x7C))
"""Descriptors that say what private data is: its registered name, teletext, DVB subtitles, AC-3,
E-AC-3, DTS, AAC (ETSI EN 300 468, section 6.1)."""

_VIDEO_NAMES = frozenset((b"AV01", b"HEVC", b"VVC ", b"VC-1", b"drac"))

Codecs = dict[int, tuple[int, bytes]]
"""Packet ID -> stream type, and descriptors that say what the stream is."""


@dataclass(frozen=True)
class Part:
    """One recording of a file.

    Attributes:
        start: Place of its first byte.
        stop: Place behind its last byte; 0 for the end of the file.
    """

    start: int
    stop: int


def find_parts(path: Path) -> tuple[Part, ...]:
    """Return the recordings of different codecs in a transport or program stream, in order.

    Of most files there is one. The answer is kept until the file changes.
    """
    status = path.stat()
    return _find_parts(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=32)
def _find_parts(path: Path, _modified: int, size_bytes: int) -> tuple[Part, ...]:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        layout = find_layout(head)
        if layout is not None:
            return _parts_of_transport(file, size_bytes, layout)
        if head.startswith(PACK):
            return _parts_of_program(file, size_bytes)
    return (Part(0, 0),)


def _parts_of_transport(file: IO[bytes], size_bytes: int, layout: PacketLayout) -> tuple[Part, ...]:
    tables, end = _Tables(layout), 0
    for start, stop in _places(size_bytes):
        before = len(tables.changes)
        _read(file, start, stop, tables.take)
        if len(tables.changes) > before and start > end:
            # The place of the change is between this sample and the one before.
            tables.undo()
            _read(file, end, stop, tables.take)
        end = stop
    begins = [0, *(change.start for change in tables.changes)]
    stops = [*(change.stop for change in tables.changes), 0]
    return tuple(Part(begin, stop) for begin, stop in zip(begins, stops, strict=True))


def _parts_of_program(file: IO[bytes], size_bytes: int) -> tuple[Part, ...]:
    kinds, end = VideoKinds(), 0
    for start, stop in _places(size_bytes):
        kinds.begin()
        _read(file, start, stop, kinds.take)
        if kinds.has_changed and start > end:
            kinds.undo()
            _read(file, end, stop, kinds.take)
        end = stop if kinds.has_headers else end
    begins, stops = [0, *kinds.changes], [*kinds.changes, 0]
    return tuple(Part(begin, stop) for begin, stop in zip(begins, stops, strict=True))


def _read(file: IO[bytes], start: int, stop: int, take: Callable[[bytes, int], int]) -> None:
    """Read a file between two places.

    Args:
        file: The file.
        start: First place.
        stop: Place behind the last byte.
        take: Function of bytes and their place, which returns how many of them it used.
    """
    file.seek(start)
    rest, at = b"", start
    while at < stop and (data := file.read(min(_CHUNK_BYTES, stop - at))):
        taken = take(rest + data, at - len(rest))
        at += len(data)
        rest = (rest + data)[taken:]


def _places(size_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield which parts of a file to read, in order."""
    if size_bytes <= _WHOLE_BYTES:
        yield 0, size_bytes
        return
    stride = min(max(size_bytes // _STRIDES, _SHORTEST_BYTES), _LONGEST_BYTES)
    last = size_bytes - _SAMPLE_BYTES
    for start in (*range(0, last - _SAMPLE_BYTES, stride), last):
        yield start, start + _SAMPLE_BYTES


@dataclass(frozen=True)
class _Change:
    """A table with other codecs.

    Attributes:
        start: Place of the PAT before it, from where the file can be read by itself.
        stop: Its place.
    """

    start: int
    stop: int


@dataclass
class _Tables:
    """The tables read so far.

    Attributes:
        layout: How packets lie in the file.
        changes: Places of tables with other codecs.
    """

    layout: PacketLayout
    changes: list[_Change] = field(default_factory=list)
    _maps: frozenset[int] = frozenset()
    _codecs: dict[int, Codecs] = field(default_factory=dict)
    _before: dict[int, Codecs] = field(default_factory=dict)
    _pat: int = 0

    def undo(self) -> None:
        """Forget the last change, so that it can be looked for more closely."""
        self.changes.pop()
        self._codecs = self._before

    def take(self, data: bytes, place: int) -> int:
        """Take the tables of the packets in `data`; return the bytes that were used."""
        runs, used = find_packets(data, self.layout)
        for run in runs:
            self._take_run(run, place + run.place)
        return used

    def _take_run(self, run: PacketRun, place: int) -> None:
        identifiers, packets = run.identifiers, run.packets
        begins = packets[:, 1] & 0x40 != 0  # payload_unit_start_indicator
        known, rows = self._maps, iter(self._table_rows(identifiers, begins))
        while (row := next(rows, None)) is not None:
            take = self._take_pmt if identifiers[row] else self._take_pat
            take(packets[row].tobytes(), place + int(row) * self.layout.size)
            if self._maps != known:  # the tables that follow have other IDs
                known, after = self._maps, row
                later = self._table_rows(identifiers, begins)
                rows = iter(later[later > after])

    def _table_rows(
        self, identifiers: NDArray[np.integer[Any]], begins: NDArray[np.bool_]
    ) -> NDArray[np.intp]:
        wanted = np.isin(identifiers, [0, *self._maps])
        return np.flatnonzero(wanted & begins)

    def _take_pat(self, packet: bytes, place: int) -> None:
        section = _section(packet, table=0x00)
        if section is None:
            return
        self._pat = place
        entries = (section[at : at + 4] for at in range(8, len(section) - 3, 4))
        self._maps = frozenset(
            (entry[2] & 0x1F) << 8 | entry[3] for entry in entries if entry[0] or entry[1]
        )

    def _take_pmt(self, packet: bytes, place: int) -> None:
        section = _section(packet, table=0x02)
        if section is None:
            return
        program = section[3] << 8 | section[4]
        new = _read_codecs(section)
        known = self._codecs
        if len(self._maps) == 1:  # the only program, even if it has another number than before
            known = {program: known.get(program, next(iter(known.values()), new))}
        old = known.get(program, new)
        if _is_other_recording(old, new):
            self._before = self._codecs
            self.changes.append(_Change(self._pat, place))
        self._codecs = known | {program: new}


def _section(packet: bytes, *, table: int) -> bytes | None:
    """Return a section without its checksum; None if it is damaged, or goes on elsewhere."""
    begin = 5 + packet[4] if packet[3] & 0x20 else 4  # adaptation field
    begin += 1 + packet[begin] if begin < 188 else 0  # pointer_field
    if begin + 8 > 188 or packet[begin] != table or not packet[begin + 5] & 1:
        return None
    length = 3 + ((packet[begin + 1] & 0x0F) << 8 | packet[begin + 2])
    section = packet[begin : begin + length]
    is_whole = 12 <= len(section) == length and begin + length <= 188
    return section[:-4] if is_whole and _checksum(section) == 0 else None


@lru_cache(maxsize=64)
def _checksum(section: bytes) -> int:
    """Return the CRC of a section, 0 if it holds its own (ISO/IEC 13818-1, annex A)."""
    value = 0xFFFFFFFF
    for byte in section:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
    return value


def _read_codecs(section: bytes) -> Codecs:
    codecs: Codecs = {}
    at = 12 + ((section[10] & 0x0F) << 8 | section[11]) if len(section) >= 12 else len(section)
    while at + 5 <= len(section):
        identifier = (section[at + 1] & 0x1F) << 8 | section[at + 2]
        length = (section[at + 3] & 0x0F) << 8 | section[at + 4]
        descriptors = section[at + 5 : at + 5 + length]
        codecs[identifier] = section[at], _named(section[at], descriptors)
        at += 5 + length
    return codecs


def _named(kind: int, descriptors: bytes) -> bytes:
    """Return those descriptors of private data that say what it is."""
    named, at = b"", 0
    while kind == _PRIVATE and at + 2 <= len(descriptors):
        tag, length = descriptors[at], descriptors[at + 1]
        if tag in _CODEC_DESCRIPTORS:
            content = descriptors[at + 2 : at + 6] if tag == _REGISTRATION else b""
            named += bytes((tag,)) + content
        at += 2 + length
    return named


def _is_other_recording(old: Codecs, new: Codecs) -> bool:
    """Whether a packet ID has another codec than before, or the video has another ID.

    Tracks that come or go do not begin another recording: broadcasts do that.
    """
    if any(new[one] != old[one] for one in old.keys() & new.keys()):
        return True
    before, after = (
        {one for one, codec in each.items() if _is_video(codec)} for each in (old, new)
    )
    return bool(before and after and not before & after)


def _is_video(codec: tuple[int, bytes]) -> bool:
    kind, named = codec
    return kind in _VIDEO or (kind == _PRIVATE and named[1:5] in _VIDEO_NAMES)
