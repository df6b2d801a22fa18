"""Where chroma lies beside luma, from the definition of the two places."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.picture.chroma_location import has_half_rows
from vsrc.runtime.picture.colour import Colour, FromRgb, ToRgb

BT709 = Colour(1, 1, 1, 1)


def ramp(pix_fmt: str, left: bool, width: int = 64) -> av.VideoFrame:
    """Grey that turns blue from left to right: Cb at column x of luma is 40 + 2x."""
    frame = av.VideoFrame(width, 16, pix_fmt)
    for place, plane in enumerate(frame.planes):
        rows = np.full((plane.height, plane.line_size), 128, np.uint8)
        if place == 1:
            columns = 2 * np.arange(plane.width) + (0 if left else 0.5)
            rows[:, : plane.width] = 40 + 2 * columns
        plane.update(rows.tobytes().ljust(plane.buffer_size, b"\0"))
    return frame


def blue_of(frame: av.VideoFrame, *, is_left: bool) -> NDArray[np.uint8]:
    rgb = ToRgb(BT709, width=frame.width, height=frame.height, is_left=is_left)(frame)
    return rgb[8, 8:-8, 2]


@pytest.mark.parametrize("is_left", [True, False])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p"])
def test_blue_is_where_its_samples_say(pix_fmt: str, is_left: bool) -> None:
    columns = np.arange(64)[8:-8]
    expected = (128 - 16) / 219 * 255 + 1.8556 * 255 / 224 * (40 + 2 * columns - 128)
    found = blue_of(ramp(pix_fmt, is_left), is_left=is_left)
    # One step of Cb is 2.1 of blue; swscale computes in fixed point.
    assert np.abs(found - np.clip(expected, 0, 255)).max() < 2.2


@pytest.mark.parametrize("is_left", [True, False])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p"])
def test_chroma_goes_back_to_its_place(pix_fmt: str, is_left: bool) -> None:
    frame = ramp(pix_fmt, is_left)
    rgb = ToRgb(BT709, width=64, height=16, is_left=is_left)(frame)
    back = FromRgb(BT709, width=64, height=16, pix_fmt=pix_fmt, is_left=is_left)(rgb)
    before, after = (np.frombuffer(bytes(one.planes[1]), np.uint8) for one in (frame, back))
    line = frame.planes[1].line_size  # the first columns are bluer than RGB can be
    before, after = (one.reshape(-1, line)[4, 8:28].astype(int) for one in (before, after))
    assert np.abs(after - before).max() <= 1


def test_colours_do_not_move_when_a_video_is_enlarged(
    tmp_path: Path, enlarger: Callable[..., Any]
) -> None:
    """The edge between two colours lies in the result at four times its place in the source."""
    source, output = tmp_path / "a.mkv", tmp_path / "b.mkv"
    with av.open(str(source), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 16, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = 1, 1
        frame = ramp("yuv420p", left=True)
        frame.colorspace, frame.color_range, frame.pts = 1, 1, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    infer(InferConfig((source,), output, codec="ffv1"), session=enlarger(scale=4, window=1))
    with av.open(str(output)) as container:
        (large,) = container.decode(video=0)
    plane = large.planes[1]
    cb = np.frombuffer(bytes(plane), np.uint8).reshape(-1, plane.line_size)[8, : plane.width]
    # Sample i lies at luma column 2i, which shows column (2i + 0.5) / 4 - 0.5 of the source.
    places = (2 * np.arange(plane.width) + 0.5) / 4 - 0.5
    inner = slice(32, 96)
    moved = (cb[inner].astype(float) - 40) / 2 - places[inner]
    # The network repeats pixels, so single samples are off by up to half of one, not their mean.
    assert abs(moved.mean()) < 0.1


def test_formats_with_half_rows() -> None:
    for name, expected in {
        "yuv420p": True, "yuvj420p": True, "yuv422p10le": True, "nv12": True, "p010le": True,
        "yuv444p": False, "gray": False, "rgb24": False, "gbrp10le": False, "yuv440p": False,
    }.items():  # fmt: skip
        assert has_half_rows(name) is expected
