"""Tell whether packets are missing at a place of a transport stream (ISO/IEC 13818-1, 2.4.3.3).

The packets of each ID are counted modulo 16. Where recordings were joined, one counter may go on by
chance; but those of the tables, the audio and the video hardly do so together:

    packets    PAT 3   video 7   audio 2 | video 8   PAT 11   audio 14
                                           as usual  not 4    not 3
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.decode.transport.byte_source import ByteSource
from vsrc.runtime.decode.transport.transport_packets import (
    PacketRun,
    find_layout,
    find_packets,
)

_AROUND_BYTES = 1 << 19
"""Bytes before and behind a place, in which packets of all IDs come."""

_MOST_BYTES = 64 << 20

_PROGRAMS, _NULL = 0, 0x1FFF
"""IDs of the table of programs, and of packets that fill the stream and have no counter."""

_COMPARED_BYTES = 64
"""Last bytes of a packet: one that is sent twice has another clock reference, which comes first."""


def is_interrupted(source: ByteSource, start: int, stop: int) -> bool:
    """Whether packets are missing, or bytes that are no packets lie, between two places of a file.

    Args:
        source: A transport stream.
        start: Place of a packet before the interruption.
        stop: Place of a packet behind it.
    """
    around = _read_around(source, start, stop)
    return around is not None and (_is_out_of_step(around) or _misses_packets(around))


def begins_recording(source: ByteSource, start: int, stop: int) -> bool:
    """Whether another recording begins between two places, where packets seem to be missing.

    It begins with its tables, and the next packet of the video begins a picture:

        packets    PAT 3  PMT 3  video 7  audio 2 | PAT 0  PMT 0  video 0  audio 0

    Packets that are lost may end right before tables, too; but rarely so many that other tables
    are among them, or packets of two tracks.

    Args:
        source: A transport stream.
        start: Place of the last packet of the video before it.
        stop: Place of the packet with which the next picture begins.
    """
    around = _read_around(source, start, stop)
    return around is not None and any(_is_beginning(around, at) for at in _tables(around))


@dataclass(frozen=True)
class _Around:
    """Bytes around two places of a file.

    Attributes:
        runs: Packets in them.
        size: Distance of two packets, bytes.
        start: The first place.
        stop: The second one; both are counted from the first of the bytes.
    """

    runs: list[PacketRun]
    size: int
    start: int
    stop: int

    def packets(self) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
        """Yield place, packet ID and bytes of each packet that has a counter."""
        for run in self.runs:
            places = range(run.place, run.place + len(run.packets) * self.size, self.size)
            identifiers = run.identifiers.tolist()
            for place, identifier, packet in zip(places, identifiers, run.packets, strict=True):
                if identifier != _NULL:
                    yield place, identifier, packet


def _read_around(source: ByteSource, start: int, stop: int) -> _Around | None:
    layout = find_layout(source.head())
    if layout is None:
        return None
    start = max(start, stop - _MOST_BYTES)
    begin, data = source.read_range(max(0, start - _AROUND_BYTES), stop + _AROUND_BYTES)
    if begin > start:  # it is a pipe, of which that is no longer at hand
        return None
    runs, _ = find_packets(data, layout)
    return _Around(runs, layout.size, start - begin, stop - begin)


def _is_out_of_step(around: _Around) -> bool:
    return any(around.start < run.place <= around.stop for run in around.runs[1:])


def _misses_packets(around: _Around) -> bool:
    """Whether a counter does not go on between its last packet before and its first behind."""
    before: dict[int, tuple[int, NDArray[np.uint8]]] = {}
    for place, identifier, packet in around.packets():
        earlier, known = before.get(identifier, (place, packet))
        before[identifier] = place, packet
        is_around = earlier < around.stop and place > around.start
        if is_around and known is not packet and not _goes_on(known, packet):
            return True
    return False


def _tables(around: _Around) -> list[int]:
    """Return the places of the tables of programs (PAT) between the two places."""
    return [
        place
        for place, identifier, _ in around.packets()
        if identifier == _PROGRAMS and around.start < place <= around.stop
    ]


def _is_beginning(around: _Around, place: int) -> bool:
    """Whether a recording begins with the packet at a place."""
    before: dict[int, NDArray[np.uint8]] = {}
    behind: dict[int, tuple[int, NDArray[np.uint8]]] = {}
    video: int | None = None
    for at, identifier, packet in around.packets():
        if at < place:
            before[identifier] = packet
        else:
            behind.setdefault(identifier, (at, packet))
        if abs(at - around.stop) < around.size and packet[1] & 0x40:
            video = identifier
    if video is None or behind[video][0] + around.size <= around.stop:
        return False  # the picture before goes on behind the tables
    jumps = [one for one in before.keys() & behind if not _goes_on(before[one], behind[one][1])]
    return _PROGRAMS in jumps or len(jumps) > 1


def _goes_on(before: NDArray[np.uint8], packet: NDArray[np.uint8]) -> bool:
    """Whether a packet is the next of its ID, or is sent a second time."""
    flags, counter = int(packet[3]), int(packet[3]) & 0x0F
    if flags & 0x20 and packet[4] and packet[5] & 0x80:  # discontinuity_indicator
        return True
    last = int(before[3]) & 0x0F
    if flags & 0x10 and counter == (last + 1) % 16:
        return True
    is_same = np.array_equal(before[-_COMPARED_BYTES:], packet[-_COMPARED_BYTES:])
    return counter == last and (not flags & 0x10 or is_same)
