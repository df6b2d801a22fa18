"""Convert YUV of more than 8 bits to 16-bit RGB, and back, exactly.

swscale's conversion to RGB is off by 2 or 3 of 1023 steps in full range. So it is used only for
resampling chroma and reordering samples, which are exact; the matrix is applied in float32:

    yuv420p10  --swscale-->  yuv444p10  --3 x 3 matrix-->  RGB uint16, 0..65535
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.picture.chroma_location import LeftScaler, Samples, has_half_rows
from vsrc.runtime.picture.colour import (
    ACCURATE,
    FULL,
    LIMITED,
    Colour,
    FromRgb,
    ToRgb,
    guess_matrix,
)
from vsrc.runtime.picture.colour_matrix import luma_span, rgb_from_yuv, yuv_from_rgb
from vsrc.runtime.pixels import WHITE_16, Pixels, to_16_bits

if TYPE_CHECKING:
    import av

_ROWS = 64
"""Number of rows processed at once, so that they stay in the cache."""


class DeepToRgb:
    """Converts decoded frames of more than 8 bits to 16-bit RGB; arguments as for `ToRgb`."""

    def __init__(self, colour: Colour, *, width: int, height: int, is_left: bool = False) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()
        self._shallow = ToRgb(colour, width=width, height=height, is_left=is_left)
        self._is_left = is_left
        self._left_scalers: dict[str, LeftScaler] = {}
        self._size = (width, height)
        self._matrix = guess_matrix(colour.matrix, width=width, height=height)
        self._is_full = colour.range == FULL

    def __call__(self, frame: av.VideoFrame) -> NDArray[np.uint16]:
        """Return `(H, W, 3)` uint16 RGB; frames of another size are scaled to that of the first."""
        depth = min(16, bits_of(frame.format.name))
        if depth <= 8:  # the format of a stream may change
            return to_16_bits(self._shallow(frame))
        if frame.format.is_rgb:
            return self._from_rgb(frame, depth)
        if frame.format.name.startswith("gray"):
            (luma,) = planes(self._as(frame, _pixel_format("gray", depth)))
            return self._from_luma(luma, depth)
        return self._from_yuv(planes(self._as(frame, _pixel_format("yuv444p", depth))), depth)

    def _as(self, frame: av.VideoFrame, pix_fmt: str) -> av.VideoFrame:
        if self._is_left and has_half_rows(frame.format.name):
            if pix_fmt not in self._left_scalers:
                samples = Samples(self._matrix, LIMITED)
                scaler = LeftScaler(pix_fmt, size=self._size, samples=samples)
                self._left_scalers[pix_fmt] = scaler
            return self._left_scalers[pix_fmt](frame)
        # Both sides have the same tags, so that samples are reordered and never converted.
        frame.colorspace, frame.color_range = self._matrix, LIMITED
        width, height = self._size
        return self._reformatter.reformat(
            frame, width, height, pix_fmt, interpolation=ACCURATE, threads=1
        )

    def _from_yuv(self, yuv: list[NDArray[np.uint16]], depth: int) -> NDArray[np.uint16]:
        convert = rgb_from_yuv(self._matrix, depth=depth, is_full=self._is_full, white=WHITE_16)
        height, width = yuv[0].shape
        rgb = np.empty((height, width, 3), np.uint16)
        for top in range(0, height, _ROWS):
            rows = slice(top, top + _ROWS)
            samples = np.stack([plane[rows].ravel() for plane in yuv]).astype(np.float32)
            rgb[rows] = convert(samples, largest=WHITE_16).T.reshape(-1, width, 3)
        return rgb

    def _from_luma(self, luma: NDArray[np.uint16], depth: int) -> NDArray[np.uint16]:
        scale, black = luma_span(depth, is_full=self._is_full)
        levels = (luma.astype(np.float32) - black) * (WHITE_16 / scale)
        grey = np.clip(np.rint(levels), 0, WHITE_16).astype(np.uint16)
        return np.repeat(grey[..., None], 3, axis=-1)

    def _from_rgb(self, frame: av.VideoFrame, depth: int) -> NDArray[np.uint16]:
        width, height = self._size
        if frame.format.name.startswith("gbrp"):
            g, b, r = planes(self._as(frame, _pixel_format("gbrp", depth)))
            levels = np.stack([r, g, b], axis=-1) * np.float32(WHITE_16 / (2**depth - 1))
            return np.asarray(np.rint(levels), dtype=np.uint16)
        packed = self._reformatter.reformat(
            frame, width, height, "rgb48le", interpolation=ACCURATE, threads=1
        )
        return np.asarray(packed.to_ndarray(), dtype=np.uint16)


class DeepFromRgb:
    """Converts RGB images to frames of more than 8 bits; arguments as for `FromRgb`."""

    def __init__(
        self, colour: Colour, *, width: int, height: int, pix_fmt: str, is_left: bool = False
    ) -> None:
        import av
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()
        self._pix_fmt = pix_fmt
        self._depth = bits_of(pix_fmt)
        is_grey = len(av.VideoFormat(pix_fmt).components) == 1
        self._range = colour.range or LIMITED
        self._matrix = guess_matrix(colour.matrix, width=width, height=height)
        is_full = self._range == FULL
        self._convert = yuv_from_rgb(
            self._matrix, depth=self._depth, is_full=is_full, white=WHITE_16
        )
        self._scale_left: LeftScaler | None = None
        if is_left and has_half_rows(pix_fmt):
            samples = Samples(self._matrix, self._range)
            self._scale_left = LeftScaler(pix_fmt, size=(width, height), samples=samples)
        self._frame_format = _pixel_format("gray" if is_grey else "yuv444p", self._depth)

    def __call__(self, rgb: Pixels) -> av.VideoFrame:
        """Convert `(H, W, 3)` uint8 or uint16 RGB to a frame in the encoder's pixel format."""
        import av

        height, width = rgb.shape[:2]
        frame = av.VideoFrame(width, height, self._frame_format)
        frame.colorspace, frame.color_range = self._matrix, self._range
        targets = planes(frame)
        for top in range(0, height, _ROWS):
            rows = slice(top, top + _ROWS)
            samples = to_16_bits(rgb[rows]).reshape(-1, 3).T.astype(np.float32)
            converted = self._convert(samples, largest=2**self._depth - 1)
            for plane, values in zip(targets, converted, strict=False):
                plane[rows] = values.reshape(-1, width)
        if self._frame_format == self._pix_fmt:
            return frame
        if self._scale_left is not None:
            return self._scale_left(frame)
        return self._reformatter.reformat(
            frame,
            format=self._pix_fmt,
            src_color_range=self._range,
            dst_color_range=self._range,
            interpolation=ACCURATE,
            threads=1,
        )


def rgb_maker(
    colour: Colour, *, width: int, height: int, is_deep: bool, is_left: bool = False
) -> Callable[[av.VideoFrame], Pixels]:
    """Return a converter of decoded frames of one stream to `(H, W, 3)` RGB, uint16 if deep."""
    if is_deep:
        return DeepToRgb(colour, width=width, height=height, is_left=is_left)
    return ToRgb(colour, width=width, height=height, is_left=is_left)


def frame_maker(
    colour: Colour, *, width: int, height: int, pix_fmt: str, is_left: bool = False
) -> Callable[[Pixels], av.VideoFrame]:
    """Return a converter of `(H, W, 3)` RGB to frames in the encoder's pixel format and depth."""
    if bits_of(pix_fmt) > 8:
        return DeepFromRgb(colour, width=width, height=height, pix_fmt=pix_fmt, is_left=is_left)
    return FromRgb(colour, width=width, height=height, pix_fmt=pix_fmt, is_left=is_left)


def bits_of(pix_fmt: str) -> int:
    """Return the bits per sample of FFmpeg's pixel format."""
    import av

    return max(component.bits for component in av.VideoFormat(pix_fmt).components)


def planes(frame: av.VideoFrame) -> list[NDArray[np.uint16]]:
    """Return the planes of a little-endian frame of 9 to 16 bits as `(h, w)` views."""
    return [
        np.ndarray(
            (plane.height, plane.width),
            np.dtype("<u2"),
            buffer=memoryview(plane),
            strides=(plane.line_size, 2),
        )
        for plane in frame.planes
    ]


def _pixel_format(family: str, depth: int) -> str:
    """Return FFmpeg's name of a planar format ("yuv444p", 10: "yuv444p10le")."""
    return f"{family}{depth}le"
