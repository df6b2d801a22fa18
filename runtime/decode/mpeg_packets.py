"""Headers of MPEG-1 and MPEG-2 video in packets, which tell what a decoder does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsrc.runtime.decode.probe import codec_name

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream

MPEG_CODECS = frozenset(("mpeg1video", "mpeg2video"))

_PREFIX, _SLICES = b"\0\0\1", range(0x01, 0xB0)
_PICTURE, _SEQUENCE = b"\0\0\1\0", b"\0\0\1\xb3"
"""`picture_start_code` and `sequence_header_code` (ITU-T H.262, table 6-1); the size of the frames
follows the latter."""


def split_pictures(packet: Packet[Stream]) -> list[Packet[Stream]]:
    """Split a packet in which the parser joined two pictures because a header is damaged.

    A decoder returns one frame for such a packet and reports no error. The second picture has no
    time stamp.
    """
    data = bytes(packet)
    second = data.find(_PICTURE, data.find(_PICTURE) + 1)
    if second < 0:
        return [packet]
    return [_part(packet, data[:second], packet.pts, packet.dts), _part(packet, data[second:])]


def without_other_picture(packet: Packet[Stream]) -> Packet[Stream]:
    """Return a packet without the slices of another picture that follow its own.

    Slices lie from top to bottom, each with the number of its row (ITU-T H.262, 6.3.16).
    """
    if codec_name(packet.stream) not in MPEG_CODECS:
        return packet
    data = bytes(packet)
    row, place = 0, data.find(_PICTURE)
    while (place := data.find(_PREFIX, place + 1)) >= 0 and place + 3 < len(data):
        code = data[place + 3]
        if row > code in _SLICES:
            return _part(packet, data[:place], packet.pts, packet.dts)
        row = code if code in _SLICES else row if code else 0
    return packet


def coded_size(packet: Packet[Stream]) -> bytes:
    """Return the bytes of the size of the frames, if a sequence begins here; else none."""
    data = bytes(packet)
    place = data.find(_SEQUENCE)
    return b"" if place < 0 else data[place + 4 : place + 7]


def _part(
    packet: Packet[Stream], data: bytes, pts: int | None = None, dts: int | None = None
) -> Packet[Stream]:
    """Return a new packet with a part of the bytes."""
    import av

    part: Packet[Stream] = av.Packet(data)
    part.stream, part.time_base = packet.stream, packet.time_base
    part.pts, part.dts, part.is_keyframe = pts, dts, packet.is_keyframe
    return part
