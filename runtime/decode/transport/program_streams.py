"""Find where a program stream goes on with another video codec, as `cat mpeg2.vob h264.vob` does.

The codec is told by the headers in the video packets, the place where a recording begins by the
clock of the packs (ISO/IEC 13818-1, section 2.5.3.3; of MPEG-1: ISO/IEC 11172-1, section 2.4.3.2):

    clock    0.0   0.4   0.8 | 0.0   0.4   0.8
    video    B3    00    00  | 01    67    01         B3: sequence header of MPEG, 67: SPS of H.264
    parts    [               )
                             [                 end)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from vsrc.runtime.decode.transport.byte_source import ByteSource

PACK = b"\0\0\1\xba"
"""Beginning of a program stream."""

_PREFIX = b"\0\0\1"
_PACK, _END, _VIDEO = 0xBA, 0xB9, range(0xE0, 0xF0)
_SYSTEM = range(0xB9, 0x100)
"""Codes of packs, and of all packets of the system layer."""

_HEADERS = re.compile(
    rb"\x00\x00\x01(?:(\xb3)|([\x27\x47\x67])[\x42\x4d\x58\x64\x6e\x7a\xf4]|(\x40\x01))"
)
"""Sequence header of MPEG-1 and 2, SPS of H.264 with its profile, VPS of HEVC."""

_LONGEST_BYTES = 1 << 17
"""More than a packet has."""

_MOST_BYTES = 64 << 20

_LONGEST_PACK = 32

_CLOCK_HERTZ = 90_000
_FORWARD = 10 * _CLOCK_HERTZ
_WRAP = 1 << 33


@dataclass
class VideoKinds:
    """The kinds of video of the packets read so far.

    Attributes:
        changes: Places of the packs from which on the video is of another kind.
        has_headers: Whether headers of video came since `begin`; a sample may lie between them.
        has_changed: Whether the kind changed since `begin`.
    """

    changes: list[int] = field(default_factory=list)
    has_headers: bool = False
    has_changed: bool = False
    _kind: int | None = None
    _before: int | None = None
    _clock: int | None = None
    _restart: int | None = None
    _known: int = 0

    def begin(self) -> None:
        """Prepare for packets that do not follow those before."""
        self._clock = self._restart = None
        self._before, self._known = self._kind, len(self.changes)
        self.has_changed = self.has_headers = False

    def undo(self) -> None:
        """Forget what changed since `begin`."""
        del self.changes[self._known :]
        self._kind = self._before
        self.begin()

    def take(self, data: bytes, place: int) -> int:
        """Take the packets in `data`, which lies at `place`; return the bytes that were used."""
        used = 0
        for at, end in _iter_packets(data):
            code = data[at + 3]
            if code == _PACK:
                self._take_clock(data[at + 4 : end], place + at)
            elif code in _VIDEO and (header := _HEADERS.search(data, at + 6, end)):
                self._take_kind(header.lastindex)
            used = end
        return max(used, len(data) - _LONGEST_BYTES)

    def _take_clock(self, pack: bytes, place: int) -> None:
        clock = _read_clock(pack)
        if clock is None:
            return
        if self._clock is not None and _is_restart(self._clock, clock):
            self._restart = place
        self._clock = clock

    def _take_kind(self, kind: int | None) -> None:
        if self._kind is not None and kind != self._kind:
            self.has_changed = True
            if self._restart is not None:
                self.changes.append(self._restart)
                self._restart = None
        self._kind, self.has_headers = kind, True


def restarts_clock(source: ByteSource, start: int, stop: int) -> bool:
    """Whether the clock of the packs steps back or far ahead between two places of a file.

    Args:
        source: A program stream.
        start: Place of a packet before the step.
        stop: Place of a packet behind it.
    """
    wanted = max(0, start - _LONGEST_BYTES, stop - _MOST_BYTES)
    begin, data = source.read_range(wanted, stop + _LONGEST_PACK)
    packs = ((at, data[at + 4 : end]) for at, end in _iter_packets(data) if data[at + 3] == _PACK)
    clocks = [(at, clock) for at, pack in packs if (clock := _read_clock(pack)) is not None]
    return any(
        start < begin + at < stop and _is_restart(before, clock)
        for (_, before), (at, clock) in pairwise(clocks)
    )


def _is_restart(before: int, clock: int) -> bool:
    return (clock - before) % _WRAP > _FORWARD


def _iter_packets(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield where whole packs and packets begin and end."""
    at = 0
    while (at := data.find(_PREFIX, at)) >= 0 and at + 14 < len(data):
        code = data[at + 3]
        if code not in _SYSTEM:
            at += 3
            continue
        if code == _PACK:
            end = at + (14 + (data[at + 13] & 7) if data[at + 4] & 0xC0 == 0x40 else 12)
        elif code == _END:
            end = at + 4
        else:
            end = at + 6 + int.from_bytes(data[at + 4 : at + 6], "big")
        if end > len(data):
            return
        yield at, end
        at = end


def _read_clock(pack: bytes) -> int | None:
    """Return `system_clock_reference` in units of 90 kHz, of MPEG-2 or MPEG-1."""
    number = int.from_bytes(pack[:5], "big")
    if pack[0] & 0xC0 == 0x40:  # 01 ccc 1 (15 bits) 1 (15 bits) 1 ...
        return number >> 5 & 0x1C0000000 | number >> 4 & 0x3FFF8000 | number >> 3 & 0x7FFF
    if pack[0] & 0xF0 == 0x20:  # 0010 ccc 1 (15 bits) 1 (15 bits) 1
        return number >> 3 & 0x1C0000000 | number >> 2 & 0x3FFF8000 | number >> 1 & 0x7FFF
    return None
