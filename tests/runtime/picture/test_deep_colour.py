"""RGB and YUV of more than 8 bits against the formulas of H.273, written out in float."""

from __future__ import annotations

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from support.h273 import WEIGHTS, Planes, yuv_of
from vsrc.runtime.picture.colour import Colour
from vsrc.runtime.picture.deep_colour import DeepFromRgb, DeepToRgb, bits_of, planes


def noise(height: int = 33, width: int = 47) -> NDArray[np.float64]:
    return np.random.default_rng(0).random((height, width, 3))


def frame_of(values: Planes, pix_fmt: str) -> av.VideoFrame:
    height, width = values[0].shape
    frame = av.VideoFrame(width, height, pix_fmt)
    for plane, value in zip(planes(frame), values, strict=False):
        plane[:] = value
    return frame


def colour(matrix: int, full: bool) -> Colour:
    return Colour(matrix=matrix, range=2 if full else 1)


@pytest.mark.parametrize("depth", [10, 12, 16])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", WEIGHTS)
def test_444_is_that_of_the_formula_both_ways(matrix: int, full: bool, depth: int) -> None:
    pix_fmt = f"yuv444p{depth}le"
    rgb = noise()
    yuv = yuv_of(rgb, matrix, depth, full)
    found = DeepToRgb(colour(matrix, full), width=47, height=33)(frame_of(yuv, pix_fmt))
    # Half a step of Y, U and V each, the largest weight of V in R being 1.9 of 876 steps.
    assert np.abs(found / 65535 - rgb).max() < 2.5 / (219 << depth - 8)
    back = DeepFromRgb(colour(matrix, full), width=47, height=33, pix_fmt=pix_fmt)
    exact = np.round(rgb * 65535).astype(np.uint16)
    for plane, expected in zip(planes(back(exact)), yuv, strict=True):
        assert np.abs(plane.astype(int) - expected).max() <= 1
    for plane, expected in zip(planes(back(found)), yuv, strict=True):
        assert np.abs(plane.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("depth", [10, 12, 16])
@pytest.mark.parametrize("full", [False, True])
def test_grey_returns_to_the_bit(full: bool, depth: int) -> None:
    largest, unit = 2**depth - 1, 2 ** (depth - 8)
    low, high = (0, largest) if full else (16 * unit, 235 * unit)
    luma = np.linspace(low, high, 48 * 20).round().astype(np.uint16).reshape(20, 48)
    pix_fmt = f"gray{depth}le"
    rgb = DeepToRgb(colour(1, full), width=48, height=20)(frame_of([luma], pix_fmt))
    assert (rgb[0, 0] == 0).all()
    assert (rgb[-1, -1] == 65535).all()
    back = DeepFromRgb(colour(1, full), width=48, height=20, pix_fmt=pix_fmt)(rgb)
    np.testing.assert_array_equal(planes(back)[0], luma)


@pytest.mark.parametrize("pix_fmt", ["gbrp10le", "gbrp12le", "rgb48le", "rgb48be"])
def test_rgb_keeps_its_levels(pix_fmt: str) -> None:
    depth = bits_of(pix_fmt)
    samples = (noise(20, 30) * (2**depth - 1)).round().astype(np.uint16)
    if pix_fmt.startswith("gbrp"):
        r, g, b = np.moveaxis(samples, -1, 0)
        frame = frame_of([g, b, r], pix_fmt)
    else:
        frame = av.VideoFrame.from_ndarray(samples, pix_fmt)
    rgb = DeepToRgb(Colour(), width=30, height=20)(frame)
    # A level between two of 65535 may fall to either side in float32.
    assert np.abs(rgb - samples / (2**depth - 1) * 65535).max() < 0.51


def test_a_stream_that_turns_to_8_bits_goes_on_in_16() -> None:
    convert = DeepToRgb(colour(1, False), width=4, height=2)
    frame = av.VideoFrame.from_ndarray(np.full((2, 4, 3), 255, np.uint8), "rgb24")
    found = convert(frame)
    assert found.dtype == np.uint16
    assert (found == 65535).all()


def test_8_bit_pictures_become_10_bit_frames_of_the_same_level() -> None:
    convert = DeepFromRgb(colour(1, False), width=4, height=2, pix_fmt="yuv420p10le")
    white = planes(convert(np.full((2, 4, 3), 255, np.uint8)))
    assert (white[0] == 940).all()
    assert (white[1] == 512).all()
