"""A page to look at: pictures or clips on each other, cut by a slider, and tables of numbers.

One file, no network: a content security policy in the page forbids every request. Template, style
and script are `assets/page.*`.
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
from vsrc.runtime.report.template import write_page


@dataclass(frozen=True)
class Picture:
    """One of the pictures that are compared.

    Attributes:
        label: What it is ("Bicubic"); names it everywhere on the page.
        pixels: `(H, W, 3)` uint8 RGB; embedded as PNG, so without loss.
        detail: What to know about it, in a few characters ("27.31 dB").
    """

    label: str
    pixels: NDArray[np.uint8]
    detail: str = ""


@dataclass(frozen=True)
class PageClip:
    """One of the clips that are compared; all on a page have the same frames.

    Attributes:
        label: What it is.
        file: The bytes of a video file that browsers play: H.264, 4:2:0, in MP4.
        detail: What to know about it, in a few characters.
    """

    label: str
    file: bytes
    detail: str = ""


@dataclass(frozen=True)
class ClipShape:
    """What all clips of a page share.

    Attributes:
        width: Of the largest, pixels.
        height: Of the largest, pixels.
        frames: Number of frames.
        fps: Frames a second, constant.
    """

    width: int
    height: int
    frames: int
    fps: Fraction


@dataclass(frozen=True)
class Table:
    """Numbers under the pictures.

    Attributes:
        title: Its heading.
        columns: Heading of each column.
        rows: Cells as they are shown; the first of each row names it.
        note: How to read it: protocol, machine.
        words: The cells hold words, which are set to the left and broken into lines.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    words: bool = False


@dataclass(frozen=True)
class Curve:
    """A number for each frame, of each clip; a click on it goes to the frame.

    Attributes:
        title: What is drawn.
        y_label: The number and its unit.
        lines: One for each clip; x counts frames from 1.
    """

    title: str
    y_label: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class WorstFrames:
    """The frames of a clip to look at first.

    Attributes:
        label: Which clip.
        frames: Number of the frame, from 1, and what to say of it; the worst first.
    """

    label: str
    frames: tuple[tuple[int, str], ...]


def before_after_page(
    path: Path,
    *,
    title: str,
    pictures: Sequence[Picture],
    summary: str = "",
    tables: Sequence[Table] = (),
    credit: str = "",
) -> Path:
    """Write a page that compares still pictures; replaces what was there.

    Args:
        path: Where.
        title: Heading and name of the page.
        pictures: Two or more; the first is on the left at the start, the second on the right. All
            fill the same area, so they may differ in size (LR beside SR) but not in proportions.
        summary: A sentence under the heading.
        tables: Shown below, in this order.
        credit: Whose pictures these are, at the foot of the page.

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
    text = {"title": title, "summary": summary, "tables": tables, "credit": credit}
    return write_page(path, "page.html", {**media, **text, "curves": [], "worst": []})


def before_after_clips_page(
    path: Path,
    *,
    title: str,
    clips: Sequence[PageClip],
    shape: ClipShape,
    summary: str = "",
    curves: Sequence[Curve] = (),
    worst: Sequence[WorstFrames] = (),
    tables: Sequence[Table] = (),
    credit: str = "",
) -> Path:
    """Write a page that plays clips in step, with a curve of numbers for each frame.

    Otherwise as `before_after_page`.
    """
    _check_labels([clip.label for clip in clips])
    views = [
        {"label": clip.label, "detail": clip.detail, "data": _data_url("video/mp4", clip.file)}
        for clip in clips
    ]
    media = {"kind": "clip", "views": views, "width": shape.width, "height": shape.height}
    timing = {"frames": shape.frames, "fps": float(shape.fps)}
    text = {"title": title, "summary": summary, "tables": tables, "credit": credit}
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
    """The bytes of a PNG file of `(H, W, 3)` uint8 RGB."""
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
