"""Find the packets of a transport stream in the bytes of a file (ISO/IEC 13818-1, 2.4.3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SYNC = 0x47
"""First byte of each packet."""

HEAD_BYTES = 204 * 6
"""Bytes of a file that `find_layout` needs."""

_SIZES = (188, 192, 204)
"""Sizes of a packet: as it is, with a time before it (M2TS), with a checksum behind it."""

_AGREEING = 5
"""Sync bytes at the right distance that are no accident."""


@dataclass(frozen=True)
class PacketLayout:
    """How packets lie in a file: their distance, and what precedes the sync byte, bytes."""

    size: int
    before: int


@dataclass(frozen=True, eq=False)
class PacketRun:
    """Packets that follow one another without anything between them.

    Attributes:
        place: Place of the first one, bytes.
        packets: uint8 `(count, bytes)`, from the sync byte on.
    """

    place: int
    packets: NDArray[np.uint8]

    @property
    def identifiers(self) -> NDArray[np.uint16]:
        """Packet IDs, `(count,)`."""
        high = self.packets[:, 1].astype(np.uint16) & 0x1F
        return (high << 8 | self.packets[:, 2]).astype(np.uint16)


def find_layout(data: bytes) -> PacketLayout | None:
    """Return how packets lie in a file that begins so; None if it is no transport stream."""
    for size in _SIZES:
        for before in range(size):
            if _is_sync(data, before, size):
                return PacketLayout(size, 4 if size == 192 else 0)
    return None


def find_packets(data: bytes, layout: PacketLayout) -> tuple[list[PacketRun], int]:
    """Find whole packets.

    Args:
        data: Bytes of a file.
        layout: How packets lie in them.

    Returns:
        Runs of packets, whose places count from the first byte of `data`, and the number of bytes
        that were used. The rest may be the beginning of a packet.
    """
    runs: list[PacketRun] = []
    size, at = layout.size, 0
    while (at := _next_sync(data, at, layout)) >= 0:
        count = (len(data) - at) // size
        rows = np.frombuffer(data, np.uint8, count * size, at).reshape(count, size)
        packets = rows[:, layout.before :]
        broken = np.flatnonzero(packets[:, 0] != SYNC)
        good = int(broken[0]) if len(broken) else count
        runs.append(PacketRun(at, packets[:good]))
        at += good * size
        if good == count:
            return runs, at
    return runs, max(0, len(data) - size * (_AGREEING + 1))


def _is_sync(data: bytes, at: int, size: int) -> bool:
    marks = data[at : at + size * _AGREEING : size]
    return len(marks) == _AGREEING and not marks.strip(bytes((SYNC,)))


def _next_sync(data: bytes, at: int, layout: PacketLayout) -> int:
    """Return where a row of packets begins, from a place on; -1 if there is none."""
    for begin in range(at, min(at + 4 * layout.size, len(data))):
        if _is_sync(data, begin + layout.before, layout.size):
            return begin
    found = data.find(SYNC, at + 4 * layout.size)
    while found >= 0:
        if _is_sync(data, found, layout.size):
            return found - layout.before
        found = data.find(SYNC, found + 1)
    return -1
