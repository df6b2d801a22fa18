"""Write upscaled frames as YUV4MPEG2 to a pipe, which ffmpeg, x264 and mpv read from stdin."""

from __future__ import annotations

from fractions import Fraction
from typing import IO, TYPE_CHECKING

import numpy as np

from vsrc.runtime.decode.frame import ResultFrame
from vsrc.runtime.decode.frames.frame_data import describe_frame_data
from vsrc.runtime.decode.probe import VideoInfo
from vsrc.runtime.encode.segments import SegmentTotals
from vsrc.runtime.errors import MediaError
from vsrc.runtime.picture.colour import FULL, result_colour
from vsrc.runtime.picture.deep_colour import frame_maker
from vsrc.runtime.text.size_text import format_size

if TYPE_CHECKING:
    from av.video.plane import VideoPlane

_SPACES = {"gray": "mono", "yuv420p": "420mpeg2", "yuv422p": "422", "yuv444p": "444"}
_DEEP_SPACES = {"gray": "mono", "yuv420p": "420p", "yuv422p": "422p", "yuv444p": "444p"}
"""Pixel format family -> colour space name in the header, to which the depth is appended."""


class Y4mWriter:
    """Writes raw frames after one line of header; nothing else is written to the pipe.

    Attributes:
        summary: Pixel format and size.
        notes: Lines to report to the user, on what y4m cannot carry.
        kept: Finished frames; always none.
    """

    kept = SegmentTotals()

    def __init__(self, pipe: IO[bytes], info: VideoInfo, *, scale: int, time_scale: int) -> None:
        self._pipe = pipe
        self._rate = info.rate * time_scale
        self._time_base = info.time_base / time_scale
        self._orientation = info.orientation
        width, height = (side * scale for side in info.upright_size)
        colour = result_colour(
            info.colour, is_rgb=info.is_rgb, size=(info.width, info.height), scale=scale
        )
        aspect = info.sample_aspect_ratio or Fraction(0, 1)
        if self._orientation.swaps_sides:
            aspect = 1 / aspect if aspect else aspect
        family, depth = _pixel_format(info)
        pix_fmt = family if depth == 8 else f"{family}{depth}le"
        self._bytes_per_sample = 1 if depth == 8 else 2
        space = _SPACES[family] if depth == 8 else f"{_DEEP_SPACES[family]}{depth}"
        self._from_rgb = frame_maker(
            colour, width=width, height=height, pix_fmt=pix_fmt, is_left=True
        )
        self._header = (
            f"YUV4MPEG2 W{width} H{height} F{self._rate.numerator}:{self._rate.denominator} Ip "
            f"A{aspect.numerator}:{aspect.denominator} C{space} "
            f"XCOLORRANGE={'FULL' if colour.range == FULL else 'LIMITED'}\n"
        ).encode()
        self.summary = f"y4m {pix_fmt} {format_size(width, height)}"
        self.notes = ["the other tracks are left out: y4m holds frames"] if info.tracks else []
        self.notes += [
            f"{words}: left out, y4m holds frames" for words in describe_frame_data(info.frame_data)
        ]
        self._last_pts: int | None = None
        self._uneven = False

    def is_kept(self, _number: int, /) -> bool:
        """Return False: nothing was saved of a pipe."""
        return False

    def kept_states(self) -> None:
        """Return None: a pipe cannot be resumed."""

    def write(self, frame: ResultFrame, /) -> None:
        """Write one frame."""
        if frame.rgb is None:
            return
        self._watch(frame.pts)
        made = self._from_rgb(self._orientation.upright(frame.rgb))
        chunks = [self._header, b"FRAME\n", *map(self._plane_bytes, made.planes)]
        self._header = b""
        try:
            for chunk in chunks:
                self._pipe.write(chunk)
        except BrokenPipeError as error:
            raise MediaError("the program that reads the frames closed the pipe") from error

    def finish(self) -> None:
        """Flush the pipe."""
        self._pipe.flush()
        if self._uneven:
            rate = f"{float(self._rate):.6g}"
            self.notes.append(f"the frame rate varies, but y4m is constant at {rate} fps")

    def discard(self) -> None:
        """Do nothing: what was written cannot be removed."""

    def _watch(self, pts: int) -> None:
        """Check whether the frame times follow the frame rate, to half a frame."""
        if self._last_pts is not None:
            step = (pts - self._last_pts) * self._time_base * self._rate
            self._uneven |= not Fraction(1, 2) < step < Fraction(3, 2)
        self._last_pts = pts

    def _plane_bytes(self, plane: VideoPlane) -> bytes:
        """Return the samples of a plane without the padding of its rows."""
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        return rows[: plane.height, : plane.width * self._bytes_per_sample].tobytes()


def _pixel_format(info: VideoInfo) -> tuple[str, int]:
    """Return pixel format family and depth: 8, or the next larger one that y4m has a name for."""
    depth = next((depth for depth in (8, 10, 12, 14) if depth >= info.depth), 16)
    if info.pix_fmt.startswith("gray"):
        return "gray", depth
    chroma = next((sampling for sampling in ("444", "422") if sampling in info.pix_fmt), "420")
    return "yuv420p" if info.is_rgb else f"yuv{chroma}p", depth
