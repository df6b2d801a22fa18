"""RGB and YUV against the formulas of ITU-R BT.601, BT.709 and BT.2020, written out in float."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
import av.filter
import numpy as np
import pytest
from numpy.typing import NDArray

from support.h273 import WEIGHTS, yuv_of
from vsrc.runtime.picture.colour import Colour, FromRgb, ToRgb, guess_matrix, result_colour

Planes = Sequence[NDArray[np.unsignedinteger[Any]]]


def rgb_of(planes: Planes, matrix: int, full: bool) -> NDArray[np.uint8]:
    red, blue = WEIGHTS[matrix]
    y, u, v = (plane.astype(float) for plane in planes)
    y = y / 255 if full else (y - 16) / 219
    u, v = ((u - 128) / (255 if full else 224), (v - 128) / (255 if full else 224))
    r, b = y + (2 - 2 * red) * v, y + (2 - 2 * blue) * u
    g = (y - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.round(np.stack([r, g, b], -1) * 255), 0, 255).astype(np.uint8)


def frame_of(planes: Planes, pix_fmt: str) -> av.VideoFrame:
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, pix_fmt)
    for plane, values in zip(frame.planes, planes, strict=False):
        rows = np.zeros((plane.buffer_size // plane.line_size, plane.line_size), np.uint8)
        rows[: plane.height, : plane.width] = values
        plane.update(rows.tobytes())
    return frame


def planes_of(frame: av.VideoFrame) -> Planes:
    return tuple(
        np.frombuffer(bytes(plane), np.uint8).reshape(-1, plane.line_size)[
            : plane.height, : plane.width
        ]
        for plane in frame.planes
    )


def noise(height: int = 33, width: int = 47) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", WEIGHTS)
def test_rgb_of_444_is_that_of_the_formula(matrix: int, full: bool) -> None:
    planes = yuv_of(noise() / 255, matrix, 8, full)
    convert = ToRgb(Colour(matrix=matrix, range=2 if full else 1), width=47, height=33)
    rgb = convert(frame_of(planes, "yuv444p"))
    difference = rgb.astype(int) - rgb_of(planes, matrix, full)
    assert np.abs(difference).max() <= 1  # swscale computes in fixed point


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", WEIGHTS)
def test_444_of_rgb_is_that_of_the_formula(matrix: int, full: bool) -> None:
    colour = Colour(matrix=matrix, range=2 if full else 1)
    frame = FromRgb(colour, width=47, height=33, pix_fmt="yuv444p")(noise())
    yuv = yuv_of(noise() / 255, matrix, 8, full)
    for plane, expected in zip(planes_of(frame), yuv, strict=True):
        assert np.abs(plane.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "gray"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", WEIGHTS)
def test_yuv_returns_within_one(matrix: int, full: bool, pix_fmt: str) -> None:
    # Areas of one colour: chroma at edges between them is where subsampling has to lose something.
    patches = np.random.default_rng(1).integers(30, 226, (2, 3, 3)).astype(np.uint8)
    rgb = patches.repeat(16, 0).repeat(16, 1)
    colour = Colour(matrix=matrix, range=2 if full else 1)
    y, u, v = yuv_of(rgb / 255, matrix, 8, full)
    across, down = {"yuv420p": (2, 2), "yuv422p": (2, 1)}.get(pix_fmt, (1, 1))
    planes = (y,) if pix_fmt == "gray" else (y, u[::down, ::across], v[::down, ::across])
    there = ToRgb(colour, width=48, height=32)
    back = FromRgb(colour, width=48, height=32, pix_fmt=pix_fmt)
    returned = planes_of(back(there(frame_of(planes, pix_fmt))))
    for plane, expected in zip(returned, planes, strict=True):
        side = 16 * plane.shape[1] // 48, 16 * plane.shape[0] // 32
        inner = np.ix_(_inner(side[1], plane.shape[0]), _inner(side[0], plane.shape[1]))
        assert np.abs(plane[inner].astype(int) - expected[inner]).max() <= 1


def _inner(side: int, size: int) -> list[int]:
    """Places at least a quarter of a patch away from its edges."""
    return [i for i in range(size) if side // 4 <= i % side < side - side // 4]


def test_limited_range_grey_is_not_taken_for_full_range() -> None:
    convert = ToRgb(Colour(range=1), width=4, height=2)
    levels = np.array([[16, 126, 235, 16], [235, 126, 16, 235]], np.uint8)
    rgb = convert(frame_of((levels,), "gray"))
    expected = np.round((levels.astype(float) - 16) / 219 * 255)
    assert np.abs(rgb - expected[..., None]).max() <= 1


@pytest.mark.parametrize(
    ("size", "matrix"),
    [((720, 576), 6), ((720, 480), 6), ((1280, 536), 1), ((640, 720), 1), ((320, 180), 6)],
)
def test_untagged_video_is_601_up_to_sd(size: tuple[int, int], matrix: int) -> None:
    assert guess_matrix(2, width=size[0], height=size[1]) == matrix
    assert guess_matrix(9, width=size[0], height=size[1]) == 9


def test_tags_stay_unless_enlarging_changes_what_players_assume() -> None:
    untagged = Colour()
    assert result_colour(untagged, is_rgb=False, size=(160, 90), scale=2) == untagged
    assert result_colour(untagged, is_rgb=False, size=(1920, 1080), scale=2) == untagged
    assert result_colour(untagged, is_rgb=False, size=(640, 360), scale=4) == Colour(matrix=6)
    tagged = Colour(9, 14, 9, 2)
    assert result_colour(tagged, is_rgb=False, size=(640, 360), scale=4) == tagged
    assert result_colour(untagged, is_rgb=True, size=(8, 8), scale=4) == Colour(1, 1, 1, 1)


def test_hdr_is_told_by_its_transfer() -> None:
    assert Colour(transfer=16).is_hdr
    assert Colour(transfer=18).is_hdr
    assert not Colour(primaries=9, transfer=14, matrix=9).is_hdr


def test_rows_of_a_view_are_taken_as_they_lie() -> None:
    picture = noise(20, 30)
    view = np.rot90(picture)[:, 1:]
    convert = FromRgb(Colour(1, 1, 1, 1), width=19, height=30, pix_fmt="yuv444p")
    yuv = yuv_of(view / 255, 1, 8, False)
    for plane, expected in zip(planes_of(convert(view)), yuv, strict=True):
        assert np.abs(plane.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("size", [(47, 33), (64, 34), (48, 30)])
@pytest.mark.parametrize(
    "pix_fmt",
    ["yuv420p", "yuv422p", "yuv444p", "yuv411p", "yuvj420p", "nv12", "yuva420p", "yuv420p10le"],
)
@pytest.mark.parametrize("is_left", [True, False])
def test_the_detour_over_planes_changes_no_byte(
    pix_fmt: str, size: tuple[int, int], is_left: bool
) -> None:
    width, height = size
    frame = av.VideoFrame(64, 34, pix_fmt)
    draw = np.random.default_rng(0)
    for plane in frame.planes:
        plane.update(draw.integers(0, 3, plane.buffer_size, dtype=np.uint8).tobytes())
        if not pix_fmt.endswith("le"):
            plane.update(draw.integers(0, 256, plane.buffer_size, dtype=np.uint8).tobytes())
    rgb = ToRgb(Colour(5, 6, 5, 2), width=width, height=height, is_left=is_left)(frame)
    words = f"scale=w={width}:h={height}:flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
    words += ":in_color_matrix=bt470:in_range=pc"
    if is_left and "444" not in pix_fmt:
        words += ":in_h_chr_pos=0" + ("" if "422" in pix_fmt else ":in_v_chr_pos=128")
    assert np.array_equal(rgb, directly(frame, words))


def directly(frame: av.VideoFrame, scale: str) -> NDArray[np.uint8]:
    """RGB from one run of FFmpeg's scale filter."""
    graph = av.filter.Graph()
    graph.threads = 1
    name, _, words = scale.partition("=")
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
    )
    nodes = (graph.add(name, words), graph.add("format", "rgb24"), graph.add("buffersink"))
    graph.link_nodes(source, *nodes).configure()
    graph.push(frame)
    return np.asarray(graph.vpull().to_ndarray(), np.uint8)
