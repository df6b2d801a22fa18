"""Write an HTML page that compares images or clips with a slider, and shows tables of numbers.

It is a single file without network access: a content security policy in the page blocks all
requests. Template, style and script are `assets/page.*`.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.report.chart import Line, line_chart
from vsrc.runtime.report.template import Badge, write_page


@dataclass(frozen=True)
class Picture:
    """One of the images that are compared.

    Attributes:
        label: Name of the image on the page ("Bicubic").
        pixels: Pixels, `(H, W, 3)` uint8 RGB; embedded as PNG, so lossless.
        detail: Short text beside the label ("27.31 dB").
    """

    label: str
    pixels: NDArray[np.uint8]
    detail: str = ""


@dataclass(frozen=True)
class PageClip:
    """One of the clips that are compared; all clips of a page have the same frames.

    Attributes:
        label: Name of the clip on the page.
        file: Bytes of a video file that browsers can play: H.264, 4:2:0, in MP4.
        detail: Short text beside the label.
    """

    label: str
    file: bytes
    detail: str = ""


@dataclass(frozen=True)
class ClipShape:
    """Properties common to all clips of a page.

    Attributes:
        width: Width of the largest clip, pixels.
        height: Height of the largest clip, pixels.
        frames: Number of frames.
        fps: Constant frame rate, frames/s.
    """

    width: int
    height: int
    frames: int
    fps: Fraction


@dataclass(frozen=True)
class Table:
    """A table below the images.

    Attributes:
        title: Heading of the table.
        columns: Heading of each column.
        rows: Text of the cells; the first cell of each row is its name.
        note: Explanation below the table: protocol, machine.
        words: Whether the cells are text, which is left-aligned and wrapped, rather than numbers.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    words: bool = False


@dataclass(frozen=True)
class Curve:
    """A chart with a number for each frame of each clip; a click on it seeks to the frame.

    Attributes:
        title: Heading of the chart.
        y_label: Name and unit of the number.
        lines: One line for each clip; x is the frame number, from 1.
    """

    title: str
    y_label: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class WorstFrames:
    """The worst frames of a clip.

    Attributes:
        label: Name of the clip.
        frames: Frame numbers, from 1, with a text for each; the worst first.
    """

    label: str
    frames: tuple[tuple[int, str], ...]


def before_after_page(
    path: Path,
    *,
    title: str,
    machine: str,
    pictures: Sequence[Picture],
    summary: str = "",
    badge: Badge | None = None,
    tables: Sequence[Table] = (),
    credit: str = "",
) -> Path:
    """Write a page that compares still images; an existing file is replaced.

    Args:
        path: Path of the page.
        title: Heading and title of the page.
        machine: Machine on which the numbers were measured.
        pictures: Two or more images; at first the first is on the left, the second on the right.
            All fill the same area, so they may differ in size (LR and SR) but not in aspect ratio.
        summary: Sentence below the heading.
        badge: Result, beside the heading.
        tables: Tables below the images, in this order.
        credit: Attribution of the images, at the foot of the page.

    Returns:
        `path`.
    """
    _check_labels([picture.label for picture in pictures])
    for picture in pictures:
        if picture.pixels.dtype != np.uint8 or picture.pixels.shape[2:] != (3,):
            actual = f"{picture.pixels.dtype} {picture.pixels.shape}"
            raise ValueError(f"{picture.label}: pixels are {actual}, expected uint8 (H, W, 3)")
    heights, widths = zip(*(picture.pixels.shape[:2] for picture in pictures), strict=True)
    views = [
        {
            "label": picture.label,
            "detail": picture.detail,
            "data": _data_url("image/png", png_bytes(picture.pixels)),
            "width": picture.pixels.shape[1],
            "height": picture.pixels.shape[0],
        }
        for picture in pictures
    ]
    media = {"kind": "picture", "views": views, "width": max(widths), "height": max(heights)}
    head = {"title": title, "summary": summary, "badge": badge, "machine": machine}
    text = {**head, "tables": tables, "credit": credit}
    return write_page(path, "page.html", {**media, **text, "curves": [], "worst": []})


def before_after_clips_page(
    path: Path,
    *,
    title: str,
    machine: str,
    clips: Sequence[PageClip],
    shape: ClipShape,
    summary: str = "",
    badge: Badge | None = None,
    curves: Sequence[Curve] = (),
    worst: Sequence[WorstFrames] = (),
    tables: Sequence[Table] = (),
    credit: str = "",
) -> Path:
    """Write a page that plays clips in sync, with a chart of numbers for each frame.

    Otherwise the same as `before_after_page`.
    """
    _check_labels([clip.label for clip in clips])
    views = [
        {"label": clip.label, "detail": clip.detail, "data": _data_url("video/mp4", clip.file)}
        for clip in clips
    ]
    media = {"kind": "clip", "views": views, "width": shape.width, "height": shape.height}
    timing = {"frames": shape.frames, "fps": float(shape.fps)}
    head = {"title": title, "summary": summary, "badge": badge, "machine": machine}
    text = {**head, "tables": tables, "credit": credit}
    drawn = [
        {
            "title": curve.title,
            "legend": [line.label for line in curve.lines],
            "svg": line_chart(
                curve.lines,
                name=curve.title,
                x_label="frame",
                y_label=curve.y_label,
                from_zero=False,
            ),
        }
        for curve in curves
    ]
    numbers = {"curves": drawn, "worst": worst}
    return write_page(path, "page.html", {**media, **timing, **numbers, **text})


def png_bytes(pixels: NDArray[np.uint8]) -> bytes:
    """Encode `(H, W, 3)` uint8 RGB as the bytes of a PNG file."""
    import av

    height, width = pixels.shape[:2]
    encoder = av.CodecContext.create("png", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "rgb24"
    encoder.time_base = Fraction(1, 1)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def _check_labels(labels: list[str]) -> None:
    if len(labels) < 2:
        raise ValueError(f"{len(labels)} to compare; a page needs at least two")
    if len(set(labels)) != len(labels):
        raise ValueError(f"labels must differ from each other: {', '.join(labels)}")


def _data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
