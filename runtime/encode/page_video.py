"""Encode frames to a video file in memory that every browser can play."""

from __future__ import annotations

import io
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

_QUALITY = "12"  # x264's CRF; visually lossless, as the page is for comparing
_BT709 = 1


class PageVideo:
    """H.264, 4:2:0, in MP4, at a constant frame rate.

    Args:
        width: Width of the frames, pixels.
        height: Height of the frames, pixels.
        fps: Frames per second.
    """

    def __init__(self, *, width: int, height: int, fps: Fraction) -> None:
        import av

        from vsrc.runtime.encode.encoders import find_encoder

        encoder, _ = find_encoder("x264")
        self._buffer = io.BytesIO()
        self._container = av.open(self._buffer, "w", format="mp4")
        options = {"crf": _QUALITY, "preset": "veryfast"}
        # A key frame every half second makes stepping backwards fast.
        stream = self._container.add_stream(encoder.name, rate=fps, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.gop_size = max(1, round(fps / 2))
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = 1 / fps
        stream.codec_context.colorspace = _BT709
        self._stream = stream
        self._frames = 0

    def write(self, rgb: NDArray[np.uint8]) -> None:
        """Add a frame, `(H, W, 3)` uint8; odd sides are made even by repeating the last row."""
        import av

        odd = rgb.shape[0] % 2, rgb.shape[1] % 2
        even = np.pad(rgb, ((0, odd[0]), (0, odd[1]), (0, 0)), mode="edge") if any(odd) else rgb
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
        frame = frame.reformat(
            format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG", threads=1
        )
        frame.pts = self._frames
        frame.time_base = self._stream.codec_context.time_base
        self._frames += 1
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> bytes:
        """Return the bytes of the file."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._buffer.getvalue()
