"""Encode and decode a clip in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.errors import MissingDependencyError
from vsrc.runtime.installation import reinstall_module
from vsrc.runtime.picture.colour import BT601, FULL, LIMITED, Colour, FromRgb, ToRgb
from vsrc.runtime.picture.fast_resize import Planes

Codec = Literal["mjpeg", "mpeg2video", "mpeg4", "libx264", "libx265", "libvpx-vp9"]

_DECODERS = {"libx264": "h264", "libx265": "hevc", "libvpx-vp9": "vp9"}
# With look-ahead x264 is not deterministic: the bytes differ now and then. B-frames come in a fixed
# pattern, as most published video has them.
_X264 = {
    "preset": "veryfast",
    "x264-params": "rc-lookahead=0:mbtree=0:bframes=2:b-adapt=0:weightp=0:scenecut=0",
}
_X265 = {
    "preset": "ultrafast",
    "x265-params": (
        "log-level=none:pools=none:frame-threads=1:rc-lookahead=3:bframes=2:b-adapt=0:scenecut=0"
    ),
}
_VP9 = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "row-mt": "0"}
_CRF_OPTIONS = {"libx264": _X264, "libx265": _X265, "libvpx-vp9": _VP9}
"""Options of the encoders whose quality is a CRF."""

_LEAST_SIDE = 16
"""Smallest side that the encoders accept, pixels."""


def code(frames: Planes, codec: Codec, *, quality: int) -> Planes:
    """Encode and decode frames, so that they carry the codec's artefacts.

    Args:
        frames: `(L, 3, H, W)` uint8 RGB.
        codec: FFmpeg's name of the encoder; `mjpeg` codes each frame by itself.
        quality: CRF for libx264 and libx265 (18 fine, 35 coarse) and libvpx-vp9 (20 fine, 55
            coarse); quantiser for the others (2 fine, 31 coarse).

    Returns:
        The same shape.
    """
    height, width = frames.shape[2:]
    pictures = _pad_to_even(frames.transpose(0, 2, 3, 1))
    encoder = _encoder(codec, quality, size=pictures.shape[1:3])
    colour = Colour(matrix=BT601, range=FULL if codec == "mjpeg" else LIMITED)
    back = ToRgb(colour, width=pictures.shape[2], height=pictures.shape[1])
    decoded = [back(frame) for frame in _through(pictures, encoder, _DECODERS.get(codec, codec))]
    return np.stack(decoded)[:, :height, :width].transpose(0, 3, 1, 2)


def check_encoders(codecs: Iterable[Codec]) -> None:
    """Check early that this build of FFmpeg has the encoders.

    Raises:
        MissingDependencyError: An encoder is missing.
    """
    for codec in codecs:
        _create(codec)


def _pad_to_even(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat the last row and column until the sides are even and large enough."""
    pads = [max(_LEAST_SIDE - size, size % 2) for size in pictures.shape[1:3]]
    return np.pad(pictures, ((0, 0), (0, pads[0]), (0, pads[1]), (0, 0)), mode="edge")


def _encoder(codec: Codec, quality: int, *, size: tuple[int, ...]) -> av.VideoCodecContext:
    context = _create(codec)
    context.height, context.width = size
    context.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    context.framerate = Fraction(25)
    context.time_base = Fraction(1, 25)
    context.thread_count = 1  # with more, the bytes would depend on the machine
    if codec in _CRF_OPTIONS:
        context.bit_rate = 0  # for VP9 a bit rate would be the upper limit
        context.options = {"crf": str(quality), **_CRF_OPTIONS[codec]}
    else:
        context.options = {"qmin": str(quality), "qmax": str(quality)}
    return context


def _create(codec: Codec) -> av.VideoCodecContext:
    try:
        created = av.CodecContext.create(codec, "w")
    except (av.FFmpegError, ValueError) as error:
        line = reinstall_module("av")
        raise MissingDependencyError(
            f"this build of FFmpeg has no {codec} encoder, which degradation 'real' needs; PyAV's "
            f"own wheels have it: {line.text}"
        ) from error
    assert isinstance(created, av.VideoCodecContext)
    return created


def _through(
    pictures: NDArray[np.uint8], encoder: av.VideoCodecContext, decoder_name: str
) -> Iterator[av.VideoFrame]:
    decoder = av.CodecContext.create(decoder_name, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    height, width = pictures.shape[1:3]
    is_full = encoder.pix_fmt == "yuvj420p"
    colour = Colour(matrix=BT601, range=FULL if is_full else LIMITED)
    to_frame = FromRgb(colour, width=width, height=height, pix_fmt=str(encoder.pix_fmt))
    for number, picture in enumerate(pictures):
        frame = to_frame(np.ascontiguousarray(picture))
        frame.pts = number
        for packet in encoder.encode(frame):
            yield from decoder.decode(packet)
    for packet in encoder.encode(None):
        yield from decoder.decode(packet)
    yield from decoder.decode(None)
