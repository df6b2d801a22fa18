"""Convert YUV frames to the RGB input of a network, and back with the same matrix and range.

The numbers are the code points of ITU-T H.273, which containers, codecs and FFmpeg share.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.picture.chroma_location import PLANES, LeftScaler, Samples, has_half_rows
from vsrc.runtime.picture.rgb_frame import RgbFrames
from vsrc.runtime.pixels import Pixels, to_8_bits

if TYPE_CHECKING:
    import av

RGB, BT709, UNSPECIFIED, BT601 = 0, 1, 2, 6
LIMITED, FULL = 1, 2

_PRIMARIES = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020",
    10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "ebu3213",
}  # fmt: skip
_TRANSFERS = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "linear",
    11: "iec61966-2-4", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084",
    17: "smpte428", 18: "arib-std-b67",
}  # fmt: skip
_HDR_TRANSFERS = (16, 18)
"""PQ (SMPTE ST 2084) and HLG (ARIB STD-B67)."""

_MATRICES = {
    0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco",
    9: "bt2020nc", 10: "bt2020c", 14: "ictcp",
}  # fmt: skip
_RANGES = {LIMITED: "tv", FULL: "pc"}

_WITH_A_WAY_TO_RGB = frozenset((RGB, UNSPECIFIED, 1, 4, 5, 6, 7, 9, 10))
"""Matrices whose luma is a weighted sum of R, G, B and that swscale supports; not YCgCo, ICtCp."""

# SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP of libswscale/swscale.h:
# without approximations, so luma round trips exactly and chroma is interpolated. Not all versions
# of PyAV have names for them. All conversions have threads=1: with several, what one thread writes
# past the end of its last row may hit the first row of the next.
ACCURATE = 0x4 | 0x40000 | 0x2000 | 0x4000


@dataclass(frozen=True)
class Colour:
    """Colour tags of a stream, as H.273 code points; 2 is "unspecified".

    Attributes:
        primaries: Chromaticity of R, G and B.
        transfer: Transfer characteristic.
        matrix: Matrix coefficients between RGB and YUV; 0 where the samples are RGB.
        range: 0 unspecified, 1 limited ("tv": 16..235), 2 full ("pc": 0..255).
    """

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED
    range: int = 0

    @property
    def is_hdr(self) -> bool:
        """Whether the transfer is PQ or HLG, on which SDR networks were not trained."""
        return self.transfer in _HDR_TRANSFERS

    @property
    def is_convertible(self) -> bool:
        """Whether it can be converted to RGB."""
        return self.matrix in _WITH_A_WAY_TO_RGB

    def __str__(self) -> str:
        names = [
            _MATRICES.get(self.matrix, "unknown"),
            _PRIMARIES.get(self.primaries, "unknown"),
            _TRANSFERS.get(self.transfer, "unknown"),
        ]
        text = names[0] if len(set(names)) == 1 else "/".join(names)
        return f"{text} {_RANGES[self.range]}" if self.range in _RANGES else text


def guess_matrix(matrix: int, *, width: int, height: int) -> int:
    """Return the matrix that players assume for an untagged stream: BT.601 for SD, else BT.709.

    The limit is that of mpv and VLC: HD begins at 1280 columns or more than 576 rows.
    """
    if matrix != UNSPECIFIED:
        return matrix
    return BT709 if width >= 1280 or height > 576 else BT601


def result_colour(source: Colour, *, is_rgb: bool, size: tuple[int, int], scale: int) -> Colour:
    """Return the tags of the upscaled video: the source's, made explicit if players need it.

    Args:
        source: Tags of the source.
        is_rgb: Whether the samples of the source are RGB; the result then uses BT.709.
        size: Width and height of the source, pixels.
        scale: Side ratio of the result to the source.
    """
    if is_rgb:
        primaries, transfer = (
            BT709 if tag == UNSPECIFIED else tag for tag in (source.primaries, source.transfer)
        )
        return Colour(primaries=primaries, transfer=transfer, matrix=BT709, range=LIMITED)
    width, height = size
    before = guess_matrix(source.matrix, width=width, height=height)
    after = guess_matrix(source.matrix, width=width * scale, height=height * scale)
    # Players assume BT.601 for untagged SD video; upscaled beyond SD they would assume BT.709.
    return source if before == after else replace(source, matrix=before)


class ToRgb:
    """Converts decoded frames of one stream to RGB.

    Args:
        colour: Tags of the stream.
        width: Width of the result, pixels.
        height: Height of the result, pixels.
        is_left: Whether subsampled chroma is sited to the left, not centred
            (`vsrc.runtime.picture.chroma_location`).
    """

    def __init__(self, colour: Colour, *, width: int, height: int, is_left: bool = False) -> None:
        from av.video.reformatter import VideoReformatter

        self._to_planes, self._reformatter = VideoReformatter(), VideoReformatter()
        self._size = (width, height)
        self._matrix = guess_matrix(colour.matrix, width=width, height=height)
        self._range = colour.range or LIMITED
        self._scale_left: LeftScaler | None = None
        if is_left:
            samples = Samples(self._matrix, self._range)
            self._scale_left = LeftScaler("rgb24", size=self._size, samples=samples)

    def __call__(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """Return `(H, W, 3)` uint8 RGB; frames of another size are scaled to that of the first."""
        if frame.format.name.startswith("gray"):
            frame = _with_chroma(frame)
        if frame.format.name.startswith("yuvj") and self._range == LIMITED:
            frame = _without_range(frame)
        if not frame.format.is_rgb:
            frame.colorspace, frame.color_range = self._matrix, self._range
        width, height = self._size
        if self._scale_left is not None and has_half_rows(frame.format.name):
            rgb = self._scale_left(frame)
        else:
            if not frame.format.is_rgb:
                frame = self._to_planes.reformat(
                    frame, width, height, PLANES, interpolation=ACCURATE, threads=1
                )
            rgb = self._reformatter.reformat(
                frame, width, height, "rgb24", interpolation=ACCURATE, threads=1
            )
        return np.asarray(rgb.to_ndarray(), dtype=np.uint8)


class FromRgb:
    """Converts RGB images of one size to frames for an encoder.

    Args:
        colour: Tags of the result.
        width: Width of the images, pixels.
        height: Height of the images, pixels.
        pix_fmt: FFmpeg's name of the pixel format.
        is_left: As for `ToRgb`.
    """

    def __init__(
        self, colour: Colour, *, width: int, height: int, pix_fmt: str, is_left: bool = False
    ) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()
        self._pix_fmt = pix_fmt
        matrix = guess_matrix(colour.matrix, width=width, height=height)
        self._range = colour.range or LIMITED
        self._scale_left: LeftScaler | None = None
        if is_left and has_half_rows(pix_fmt):
            samples = Samples(matrix, self._range)
            self._scale_left = LeftScaler(pix_fmt, size=(width, height), samples=samples)
        self._frames = RgbFrames(matrix, width=width, height=height)

    def __call__(self, rgb: Pixels) -> av.VideoFrame:
        """Convert `(H, W, 3)` RGB to a frame in the encoder's pixel format."""
        source = self._frames(to_8_bits(rgb))
        if self._scale_left is not None:
            return self._scale_left(source)
        is_grey = self._pix_fmt == "gray"
        frame = self._reformatter.reformat(
            source,
            format="yuv444p" if is_grey else self._pix_fmt,
            dst_color_range=self._range,
            interpolation=ACCURATE,
            threads=1,
        )
        return _without_chroma(frame) if is_grey else frame


# swscale treats every grey frame as full range, whatever its tags, but grey video has limited
# range. With neutral chroma added, or removed, the same samples are ordinary YUV.


def _with_chroma(grey: av.VideoFrame) -> av.VideoFrame:
    import av

    grey = grey.reformat(format="gray", threads=1)
    frame = av.VideoFrame(grey.width, grey.height, "yuv444p")
    frame.planes[0].update(_rows(grey, like=frame))
    for plane in frame.planes[1:]:
        plane.update(bytes([128]) * plane.buffer_size)
    return frame


def _without_range(frame: av.VideoFrame) -> av.VideoFrame:
    """Return the same samples in the pixel format that swscale does not take for full range."""
    return frame.reformat(
        format=frame.format.name.replace("yuvj", "yuv"),
        src_color_range=FULL,
        dst_color_range=FULL,
        threads=1,
    )


def _without_chroma(frame: av.VideoFrame) -> av.VideoFrame:
    import av

    grey = av.VideoFrame(frame.width, frame.height, "gray")
    grey.planes[0].update(_rows(frame, like=grey))
    return grey


def _rows(frame: av.VideoFrame, *, like: av.VideoFrame) -> bytes:
    """Return the luma of `frame` with the line size of `like`."""
    plane, target = frame.planes[0], like.planes[0]
    luma = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: frame.height]
    rows = np.zeros((target.buffer_size // target.line_size, target.line_size), np.uint8)
    rows[: frame.height, : frame.width] = luma[:, : frame.width]
    return rows.tobytes()
