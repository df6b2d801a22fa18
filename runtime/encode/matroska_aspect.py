"""Store the pixel aspect in Matroska and WebM.

FFmpeg's muxer reads it from a field that PyAV does not set, and of the codecs only H.264 and HEVC
store it themselves. So video in two halves is announced, with which FFmpeg stores a size of
display, and the complete file gets the right one:

    FFmpeg    StereoMode 1   DisplayWidth 360    DisplayHeight 576
    at last   Void           DisplayWidth 1024   DisplayHeight 576

Elements: RFC 9559, section 5.1.4.1.28; Void and CRC-32: RFC 8794, section 11.3.
"""

from __future__ import annotations

import zlib
from fractions import Fraction
from typing import IO, TYPE_CHECKING

from vsrc.runtime.pyav_versions import fraction

if TYPE_CHECKING:
    import av

_MUXERS = frozenset(("matroska", "webm"))

_STEREO_TAG = "stereo_mode"
_SEGMENT, _TRACKS = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b"
_STEREO_MODE, _VOID = b"\x53\xb8\x81\x01", b"\xec\x82\0\0"
_DISPLAY_WIDTH, _DISPLAY_HEIGHT = b"\x54\xb0", b"\x54\xba"
_CRC = b"\xbf\x84"

_HEADER_BYTES = 1 << 20


class DisplaySize:
    """Size of display of one video; it does nothing where that is not needed.

    Args:
        stream: Video stream of the output, before the header is written.
    """

    def __init__(self, stream: av.VideoStream) -> None:
        context = stream.codec_context
        aspect = fraction(context.sample_aspect_ratio) or Fraction(1)
        self._height = context.height
        self._ratio = context.width * aspect / context.height
        self._is_needed = (
            stream.container.format.name in _MUXERS
            and aspect != 1
            and _STEREO_TAG not in stream.metadata
        )
        if self._is_needed:
            stream.metadata[_STEREO_TAG] = "left_right"

    def write(self, file: IO[bytes]) -> None:
        """Write it to a complete file."""
        if not self._is_needed:
            return
        file.seek(0)
        header = bytearray(file.read(_HEADER_BYTES))
        begin, end = _find_tracks(header)
        place = header.find(_STEREO_MODE, begin, end)
        if place < 0 or end > len(header):
            return
        header[place : place + len(_VOID)] = _VOID
        width, height = (
            _find_value(header, name, place, end) for name in (_DISPLAY_WIDTH, _DISPLAY_HEIGHT)
        )
        shown = self._fitted(width.stop - width.start, height.stop - height.start)
        for value, number in zip((width, height), shown, strict=True):
            header[value] = number.to_bytes(value.stop - value.start, "big")
        if header[begin : begin + 2] == _CRC:
            checksum = zlib.crc32(header[begin + 6 : end])
            header[begin + 2 : begin + 6] = checksum.to_bytes(4, "little")
        file.seek(begin)
        file.write(header[begin:end])

    def _fitted(self, width_bytes: int, height_bytes: int) -> tuple[int, int]:
        """Return a width and height of the ratio that fit the bytes: the real ones, if these do."""
        widest, highest = (256**count - 1 for count in (width_bytes, height_bytes))
        ratio = self._ratio
        if ratio.numerator > widest or ratio.denominator > highest:
            ratio = ratio.limit_denominator(max(1, min(highest, int(widest / (ratio + 1)))))
        times = min(widest // ratio.numerator, highest // ratio.denominator)
        times = max(1, min(times, self._height // ratio.denominator))
        return ratio.numerator * times, ratio.denominator * times


def _find_tracks(header: bytearray) -> tuple[int, int]:
    """Return where the contents of the Tracks element begin and end; 0, 0 if it is not there."""
    place = 0
    while place < len(header):
        name, begin, end = _read_element(header, place)
        if name == _TRACKS:
            return begin, end
        place = begin if name == _SEGMENT else end
    return 0, 0


def _read_element(header: bytearray, place: int) -> tuple[bytes, int, int]:
    """Return the name of an element, and where its contents begin and end (RFC 8794, section 4)."""
    begin = place + 9 - header[place].bit_length()
    name = bytes(header[place:begin])
    size_bytes = 9 - header[begin].bit_length() if begin < len(header) else 1
    number = int.from_bytes(header[begin : begin + size_bytes], "big")
    size = number & (1 << 7 * size_bytes) - 1
    return name, begin + size_bytes, begin + size_bytes + size


def _find_value(header: bytearray, name: bytes, start: int, stop: int) -> slice:
    """Return where the number in an element lies, whose size is one byte."""
    place = header.index(name, start, stop) + len(name)
    return slice(place + 1, place + 1 + (header[place] & 0x7F))
