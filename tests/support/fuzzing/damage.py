"""The ways in which a good video file is damaged."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import av

TS_PIECE = 12
"""By so many bytes before and behind it a place in a packet of a transport stream is found."""


def bits(data: bytes, _: bytes, draw: random.Random) -> bytes:
    """A few bits anywhere are turned over."""
    return flipped(data, range(len(data)), draw.choice((1, 4, 16, 64)), draw)


def ends(data: bytes, _: bytes, draw: random.Random) -> bytes:
    """Bits of the first and last 2 KB, where headers and indices lie, are turned over."""
    places = [at for at in range(len(data)) if at < 2048 or at >= len(data) - 2048]
    return flipped(data, places, draw.choice((1, 4, 16)), draw)


def cut(data: bytes, _: bytes, draw: random.Random) -> bytes:
    """Nothing after some point."""
    return data[: draw.randrange(len(data))]


def spliced(data: bytes, other: bytes, draw: random.Random) -> bytes:
    """The beginning of one file and the end of another."""
    return data[: draw.randrange(len(data))] + other[draw.randrange(len(other)) :]


def hole(data: bytes, _: bytes, draw: random.Random) -> bytes:
    """A stretch is missing, zero, or noise."""
    begin = draw.randrange(len(data))
    end = min(len(data), begin + draw.randrange(1, len(data) // 4))
    filling = draw.choice((b"", bytes(end - begin), draw.randbytes(end - begin)))
    return data[:begin] + filling + data[end:]


def flipped(data: bytes, places: range | list[int], count: int, draw: random.Random) -> bytes:
    """`data` with one bit turned over at `count` of the places."""
    changed = bytearray(data)
    for _ in range(count):
        changed[draw.choice(places)] ^= 1 << draw.randrange(8)
    return bytes(changed)


Mutation = Callable[[bytes, bytes, random.Random], bytes]
MUTATIONS: dict[str, Mutation | None] = {
    "bits": bits, "ends": ends, "cut": cut, "spliced": spliced, "hole": hole, "packets": None,
}  # fmt: skip


def damage_packets(source: Path, target: Path, draw: random.Random) -> None:
    """Turn over bits inside one to three video packets and leave all else as it is."""
    with av.open(str(source)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    data = bytearray(source.read_bytes())
    for index in draw.sample(range(len(packets)), draw.randrange(1, 4)):
        packet = packets[index]
        if target.suffix == ".ts" or packet not in data:  # in pieces, as in ASF
            damage_pieces(data, packet, draw)
        else:
            changed = flipped(packet, range(len(packet)), draw.choice((1, 8, 64)), draw)
            place = data.index(packet)
            data[place : place + len(packet)] = changed
    target.write_bytes(data)


def damage_pieces(data: bytearray, packet: bytes, draw: random.Random) -> None:
    """The same in a transport stream, where a packet lies in pieces between headers.

    What divides one frame from the next there are start codes inside the packets. Without one, two
    frames become one, and its time stamps say no more than that the rate varies: these stay.
    """
    kept = {at + more for at in find_all(packet, b"\0\0\1") for more in range(-1, 6)}
    free = [at for at in range(TS_PIECE, len(packet) - TS_PIECE) if at not in kept]
    for at in draw.sample(free, min(len(free), draw.choice((1, 8, 64)))):
        place = data.find(packet[at - TS_PIECE : at + TS_PIECE])
        if place >= 0:
            data[place + TS_PIECE] ^= 1 << draw.randrange(8)


def find_all(data: bytes, what: bytes) -> list[int]:
    """Where `what` lies in `data`."""
    return [found.start() for found in re.finditer(re.escape(what), data)]
