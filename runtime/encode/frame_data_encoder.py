"""Pass captions and other data of single frames to encoders that store them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import numpy as np

from vsrc.runtime.decode.frames.frame_data import FRAME_DATA, frame_data_types
from vsrc.runtime.encode.encoders import ENCODERS

if TYPE_CHECKING:
    import av
    from av.video.plane import VideoPlane
    from numpy.typing import NDArray

_NVIDIA = frozenset(("A53_CC", "S12M_TIMECODE"))
_STORED = {
    "libx264": frozenset(("A53_CC",)),
    "libx265": frozenset(("A53_CC",)),
    "mpeg2video": frozenset(("A53_CC",)),
    "h264_nvenc": _NVIDIA,
    "hevc_nvenc": _NVIDIA,
}
"""FFmpeg's name of an encoder -> types of side data that it writes into the stream."""

_CODECS = {"x264": "h264", "nvenc": "h264", "x265": "hevc", "nvenc-hevc": "hevc"}
"""Short name of an encoder in `_STORED` -> FFmpeg's name of its codec."""


class FrameDataEncoder:
    """Attaches the data of source frames to frames for one encoder.

    Attributes:
        notes: Lines to report to the user: what is left out; complete after the last frame.

    Args:
        encoder: FFmpeg's name of the encoder.
        types: Types of side data of the first frame, to report before the work.
        held: FFmpeg's names of the codecs that the container holds.
    """

    def __init__(self, encoder: str, types: Iterable[str], held: Collection[str]) -> None:
        self._encoder, self._held = encoder, held
        self._stored = _STORED.get(encoder, frozenset())
        self._reported: set[str] = set()
        self.notes: list[str] = []
        self._report(types)

    def attach(self, picture: av.VideoFrame, carrier: av.VideoFrame | None) -> av.VideoFrame:
        """Return the picture with the side data of the carrier, if the encoder stores it."""
        if carrier is None:
            return picture
        types = frame_data_types(carrier)
        self._report(types)
        return _attach(picture, carrier) if types & self._stored else picture

    def _report(self, types: Iterable[str]) -> None:
        lost = set(types) - self._stored - self._reported
        self._reported |= lost
        for name, words in FRAME_DATA.items():
            if name in lost:
                self.notes.append(
                    f"{words}: left out, {self._encoder} cannot store it{_advice(name, self._held)}"
                )


def _advice(name: str, held: Collection[str]) -> str:
    """Which codecs store a type of side data, those that the container holds if there are any."""
    by = [short for short, encoder in ENCODERS.items() if name in _STORED.get(encoder.name, ())]
    fitting = [short for short in by if _CODECS[short] in held]
    if fitting:
        return f" (--codec {', '.join(fitting)} can)"
    return f" (.mkv with --codec {', '.join(by)} can)" if by else ""


def _attach(picture: av.VideoFrame, carrier: av.VideoFrame) -> av.VideoFrame:
    frame = carrier.reformat(
        width=picture.width, height=picture.height, format=picture.format.name, threads=1
    )
    for source, target in zip(picture.planes, frame.planes, strict=True):
        columns = min(source.line_size, target.line_size)
        _rows(target)[:, :columns] = _rows(source)[:, :columns]
    frame.pict_type = 0  # the encoder decides, not the source
    frame.colorspace, frame.color_range = picture.colorspace, picture.color_range
    frame.color_primaries, frame.color_trc = picture.color_primaries, picture.color_trc
    return frame


def _rows(plane: VideoPlane) -> NDArray[np.uint8]:
    """View a plane as `(height, line_size)` bytes."""
    bytes_of = np.frombuffer(memoryview(plane), np.uint8)
    return bytes_of[: plane.height * plane.line_size].reshape(plane.height, plane.line_size)
