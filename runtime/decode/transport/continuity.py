"""Tell whether packets are missing at a place of a transport stream (ISO/IEC 13818-1, 2.4.3.3).

The packets of each ID are counted modulo 16. Where recordings were joined, one counter may go on by
chance; but those of the tables, the audio and the video hardly do so together:

    packets    PAT 3   video 7   audio 2 | video 8   PAT 11   audio 14
                                           as usual  not 4    not 3
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.decode.transport.transport_packets import (
    HEAD_BYTES,
    PacketRun,
    find_layout,
    find_packets,
)

_AROUND_BYTES = 1 << 19
"""Bytes before and behind a place, in which packets of all IDs come."""

_MOST_BYTES = 64 << 20

_NULL = 0x1FFF
"""ID of packets that fill the stream, and have no counter."""

_COMPARED_BYTES = 64
"""Last bytes of a packet: one that is sent twice has another clock reference, which comes first."""


def is_interrupted(path: Path, start: int, stop: int) -> bool:
    """Whether packets are missing, or bytes that are no packets lie, between two places of a file.

    Args:
        path: File with a transport stream.
        start: Place of a packet before the interruption.
        stop: Place of a packet behind it.
    """
    start = max(start, stop - _MOST_BYTES)
    begin = max(0, start - _AROUND_BYTES)
    with path.open("rb") as file:
        layout = find_layout(file.read(HEAD_BYTES))
        if layout is None:
            return False
        file.seek(begin)
        data = file.read(stop + _AROUND_BYTES - begin)
    runs, _ = find_packets(data, layout)
    first, last = start - begin, stop - begin
    return _is_out_of_step(runs[1:], first, last) or _misses_packets(runs, layout.size, first, last)


def _is_out_of_step(runs: Iterable[PacketRun], start: int, stop: int) -> bool:
    return any(start < run.place <= stop for run in runs)


def _misses_packets(runs: Iterable[PacketRun], size: int, start: int, stop: int) -> bool:
    """Whether a counter does not go on between its last packet before and its first behind."""
    before: dict[int, tuple[int, NDArray[np.uint8]]] = {}
    for run in runs:
        places = range(run.place, run.place + len(run.packets) * size, size)
        identifiers = run.identifiers.tolist()
        for place, identifier, packet in zip(places, identifiers, run.packets, strict=True):
            earlier, known = before.get(identifier, (place, packet))
            before[identifier] = place, packet
            is_around = earlier < stop and place > start and identifier != _NULL
            if is_around and known is not packet and not _goes_on(known, packet):
                return True
    return False


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
