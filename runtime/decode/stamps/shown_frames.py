"""Tell from its header whether a packet holds a frame that is shown (VP8, VP9, AV1).

These codecs have hidden frames, which later frames refer to. Mostly they share a packet with a
shown one, but they may have packets of their own.

    VP8  RFC 6386, section 9.1                       VP9  bitstream specification 0.6, section 6.2
    AV1  bitstream specification, sections 5.3-5.9   and annex B (superframes)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

HIDING_CODECS = frozenset(("av1", "vp8", "vp9"))

_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME = 1, 3, 6
"""OBU types of AV1 (section 6.2.2)."""


def shows_frame(codec: str, data: bytes) -> bool:
    """Return whether a packet holds a shown frame; True where that cannot be told.

    Args:
        codec: One of `HIDING_CODECS`.
        data: The packet.
    """
    return not data or _SHOWS[codec](data)


def _vp8_shows(data: bytes) -> bool:
    return bool(data[0] & 0x10)


def _vp9_shows(data: bytes) -> bool:
    return any(map(_vp9_frame_shows, _vp9_frames(data)))


def _vp9_frames(data: bytes) -> Iterator[bytes]:
    """Yield the frames of a superframe, whose index is at its end, or the packet itself."""
    marker = data[-1]
    size_bytes, count = (marker >> 3 & 3) + 1, (marker & 7) + 1
    index = 2 + size_bytes * count
    if marker & 0xE0 != 0xC0 or len(data) < index or data[-index] != marker:
        yield data
        return
    at = 0
    for number in range(count):
        place = len(data) - index + 1 + number * size_bytes
        size = int.from_bytes(data[place : place + size_bytes], "little")
        if size:
            yield data[at : at + size]
        at += size


def _vp9_frame_shows(frame: bytes) -> bool:
    bits = _bits(frame[:2])
    if not frame or _take(bits, 2) != 2:  # frame_marker
        return True
    profile = _take(bits, 1) | _take(bits, 1) << 1
    if profile == 3:
        _take(bits, 1)
    show_existing, _is_inter, show = _take(bits, 1), _take(bits, 1), _take(bits, 1)
    return bool(show_existing or show)


def _av1_shows(data: bytes) -> bool:
    units = _av1_units(data)
    frames = [payload for kind, payload in units or () if kind in (_FRAME_HEADER, _FRAME)]
    stills = (payload[:1] for kind, payload in units or () if kind == _SEQUENCE_HEADER)
    if not frames or any(still and still[0] & 0x08 for still in stills):
        return True  # with reduced_still_picture_header the one frame is shown
    return any(map(_av1_frame_shows, frames))


def _av1_frame_shows(header: bytes) -> bool:
    bits = _bits(header[:1])
    show_existing, _type, show = _take(bits, 1), _take(bits, 2), _take(bits, 1)
    return bool(show_existing or show or not header)


def _av1_units(data: bytes) -> list[tuple[int, bytes]] | None:
    """Return type and payload of each OBU; None where they do not fill the packet."""
    units = []
    at = 0
    while at < len(data):
        header = data[at]
        at += 2 if header & 4 else 1  # obu_extension_flag
        size = len(data) - at
        if header & 2:  # obu_has_size_field
            size, at = _leb128(data, at)
        if header & 0x81 or not 0 <= size <= len(data) - at:  # obu_forbidden_bit, reserved
            return None
        units.append((header >> 3 & 15, data[at : at + size]))
        at += size
    return units


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """Return a number (section 4.10.5) and the place behind it."""
    value = 0
    for place, byte in enumerate(data[at : at + 8]):
        value |= (byte & 0x7F) << 7 * place
        if not byte & 0x80:
            return value, at + place + 1
    return len(data), at


def _bits(data: bytes) -> Iterator[int]:
    return (byte >> place & 1 for byte in data for place in range(7, -1, -1))


def _take(bits: Iterator[int], count: int) -> int:
    value = 0
    for _ in range(count):
        value = value << 1 | next(bits, 0)
    return value


_SHOWS: dict[str, Callable[[bytes], bool]] = {
    "vp8": _vp8_shows, "vp9": _vp9_shows, "av1": _av1_shows,
}  # fmt: skip
