"""MATLAB's bicubic: to the bit on the field's benchmark, and against the kernel written out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread

from vsrc.runtime.picture.bicubic import downscale, resize_matrix, upscale
from vsrc.runtime.picture.likeness import psnr


def test_reproduces_the_official_low_resolution_frames_to_the_bit(reference: Path) -> None:
    official = sorted((reference / "data" / "vid4_calendar_lr_x4").glob("*.png"))
    assert len(official) == 41
    for path in official:
        number = path.stem.removeprefix("Frame ")
        truth = imread(reference / "data" / "vid4" / "calendar" / f"{number}.png")
        np.testing.assert_array_equal(downscale(truth, 4), imread(path))


@pytest.mark.parametrize(("clip", "expected"), [("calendar", 20.394), ("city", 25.165)])
def test_bicubic_scores_what_the_field_reports(reference: Path, clip: str, expected: float) -> None:
    frames = [imread(p) for p in sorted((reference / "data" / "vid4" / clip).glob("*.png"))]
    found = [psnr(upscale(downscale(frame, 4), 4), frame) for frame in frames]
    assert np.mean(found) == pytest.approx(expected, abs=1e-3)


def _keys(x: float) -> float:
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


@pytest.mark.parametrize(("size", "up", "down"), [(1, 4, 1), (7, 2, 1), (9, 1, 2), (13, 1, 4)])
def test_matrix_is_the_kernel_written_out(size: int, up: int, down: int) -> None:
    scale = up / down
    matrix = resize_matrix(size, numerator=up, denominator=down)
    assert len(matrix) == -(-size * up // down)
    shrink = min(scale, 1.0)
    for row, weights in enumerate(matrix):
        centre = (row + 0.5) / scale - 0.5
        expected = np.zeros(size)
        for tap in range(-12, size + 12):
            mirrored = tap % (2 * size)
            mirrored = mirrored if mirrored < size else 2 * size - 1 - mirrored
            expected[mirrored] += _keys(shrink * (centre - tap))
        np.testing.assert_allclose(weights, expected / expected.sum(), atol=1e-12)


def test_a_constant_picture_stays_constant() -> None:
    picture = np.full((5, 7, 3), 137, np.uint8)
    assert (upscale(picture, 3) == 137).all()
    assert upscale(picture, 3).shape == (15, 21, 3)


def test_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match="float64"):
        downscale(np.zeros((4, 4, 3)), 2)  # type: ignore[arg-type]
