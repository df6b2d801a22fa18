"""Look for transparent pixels: many formats have an alpha channel in which all is opaque."""

from __future__ import annotations

import shlex
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsrc.runtime.errors import MediaError
from vsrc.runtime.picture.colour import ACCURATE

if TYPE_CHECKING:
    import av
    from av.video.format import VideoFormatComponent
    from av.video.plane import VideoPlane

_OPAQUE = 255


def is_transparent(frame: av.VideoFrame) -> bool:
    """Whether any pixel of a frame is not opaque."""
    alpha = next((each for each in frame.format.components if each.is_alpha), None)
    if alpha is None and frame.format.name != "pal8":  # a palette may hold alpha, too
        return False
    if alpha is not None and _is_alone(alpha, frame.format):
        return _least_sample(frame.planes[alpha.plane], alpha.bits, frame.format) < _OPAQUE
    packed = frame.reformat(format="rgba", interpolation=ACCURATE, threads=1)
    return int(packed.to_ndarray()[..., 3].min()) < _OPAQUE


def _is_alone(alpha: VideoFormatComponent, pix_fmt: av.VideoFormat) -> bool:
    """Whether alpha is a plane of integers.

    It is read where it lies: swscale's conversion of yuva420p to rgba leaves the last columns of
    widths such as 322 unset, and writes past the end of the frame for others.
    """
    others = [each for each in pix_fmt.components if not each.is_alpha]
    is_float = "f16" in pix_fmt.name or "f32" in pix_fmt.name
    return not is_float and alpha.plane not in {each.plane for each in others}


def _least_sample(plane: VideoPlane, bits: int, pix_fmt: av.VideoFormat) -> int:
    """Return the smallest sample of a plane, of 8 bits."""
    size = 1 if bits <= 8 else 2 if bits <= 16 else 4
    kind = np.dtype(f"{'>' if pix_fmt.is_big_endian else '<'}u{size}")
    shape, strides = (plane.height, plane.width), (plane.line_size, size)
    samples = np.ndarray(shape, kind, buffer=memoryview(plane), strides=strides)
    return int(samples.min()) >> (bits - 8)


def check_opaque(frame: av.VideoFrame, path: str, *, seconds: Fraction) -> None:
    """Raise if a frame is transparent.

    Args:
        frame: A decoded frame.
        path: Name of its file in the message.
        seconds: Its time from the first frame.

    Raises:
        MediaError: It is transparent; the message has its time and a command.
    """
    if is_transparent(frame):
        what = f"{path} has transparency from {float(seconds):.2f} s on"
        raise MediaError(f"{what}, {remove_alpha_advice(path, frame.format.name)}")


def remove_alpha_advice(path: str, pix_fmt: str, *, is_picture: bool = False) -> str:
    """Return how to get a file without alpha that looks the same.

    Args:
        path: Path of a file, or another name of the source.
        pix_fmt: FFmpeg's name of its pixel format.
        is_picture: Whether it is a still image.
    """
    plain = _without_alpha(pix_fmt)
    source, target = "IN", "OUT.png" if is_picture else "OUT.mkv"
    if Path(path).is_file():
        made = Path(path).with_name(f"{Path(path).stem}-opaque{Path(target).suffix}")
        source, target = shlex.quote(path), shlex.quote(str(made))
    codec = "" if is_picture else " -c:v ffv1 -c:a copy"
    return (
        "which would be lost; remove it first: "
        f"ffmpeg -i {source} -vf format={plain}{codec} {target}"
    )


def _without_alpha(pix_fmt: str) -> str:
    """Name of the pixel format with the same colours and depth, without alpha."""
    if pix_fmt.startswith("yuva"):
        return pix_fmt.replace("yuva", "yuv", 1)
    if pix_fmt.startswith("gbrap"):
        return pix_fmt.replace("gbrap", "gbrp", 1)
    if pix_fmt.startswith("ya"):
        return "gray" if pix_fmt == "ya8" else "gray16le"
    if pix_fmt.startswith("yuv"):  # alpha is a stream of its own, which no filter sees
        return pix_fmt
    return "rgb48be" if "64" in pix_fmt else "rgb24"
