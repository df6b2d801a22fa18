from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vsrc.runtime.decode.clips.clip_frames import read_picture
from vsrc.runtime.picture.bicubic import downscale
from vsrc.runtime.picture.fast_resize import (
    bicubic_down,
    gaussian_down,
    gaussian_down_from_corner,
)
from vsrc.runtime.quality.degradation import guess_degradation, size_ratio

Planes = NDArray[np.uint8]


def picture(height: int, width: int, *, seed: int = 0) -> Planes:
    return np.random.default_rng(seed).integers(0, 256, (3, height, width), np.uint8)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(24, 36), (12, 12), (60, 24)])
def test_bicubic_planes_equal_the_reference_to_the_bit(size: tuple[int, int], scale: int) -> None:
    planes = picture(*size)
    expected = downscale(planes.transpose(1, 2, 0), scale).transpose(2, 0, 1)
    np.testing.assert_array_equal(bicubic_down(planes, scale), expected)


def test_bicubic_makes_the_official_lr_of_calendar_to_the_bit(reference: Path) -> None:
    data = reference / "data"
    hr = read_picture(data / "vid4" / "calendar" / "021.png").transpose(2, 0, 1)
    lr = read_picture(data / "vid4_calendar_lr_x4" / "Frame 021.png").transpose(2, 0, 1)
    np.testing.assert_array_equal(bicubic_down(hr, 4), lr)


def test_clips_and_single_frames_are_degraded_alike() -> None:
    clip = np.stack([picture(16, 20, seed=seed) for seed in range(3)])
    for degrade in (bicubic_down, gaussian_down, gaussian_down_from_corner):
        frames = np.stack([degrade(frame, 4) for frame in clip])
        np.testing.assert_array_equal(degrade(clip, 4), frames)


def gaussian(side: int, sigma: float) -> NDArray[np.float64]:
    axis = np.arange(side) - (side - 1) / 2
    kernel = np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * sigma**2))
    return np.asarray(kernel / kernel.sum())


def filtered(planes: Planes, kernel: NDArray[np.float64], anchor: int, border: int) -> Planes:
    rows = planes.transpose(1, 2, 0).astype(np.float64)
    blurred = cv2.filter2D(rows, -1, kernel, anchor=(anchor, anchor), borderType=border)
    rounded = np.clip(np.floor(blurred + 0.5), 0, 255)
    return np.asarray(rounded.transpose(2, 0, 1), dtype=np.uint8)


def test_bd_is_the_published_matlab_recipe() -> None:
    # fspecial('gaussian', 12, 1.6), imfilter 'replicate' (an even kernel is anchored at its 6th
    # tap), then (2:4:end-2), with OpenCV's 2-D filter in the place of MATLAB's.
    planes = picture(40, 56)
    blurred = filtered(planes, gaussian(12, 1.6), 5, cv2.BORDER_REPLICATE)
    np.testing.assert_array_equal(gaussian_down(planes, 4), blurred[:, 1:-1:4, 1:-1:4])


def test_bd_from_the_corner_is_the_recipe_of_duf() -> None:
    planes = picture(40, 56)
    blurred = filtered(planes, gaussian(13, 1.6), 6, cv2.BORDER_REFLECT_101)
    np.testing.assert_array_equal(gaussian_down_from_corner(planes, 4), blurred[:, ::4, ::4])


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_degradations_keep_lr_centred_on_hr(scale: int) -> None:
    # A picture that is its own mirror image has an LR that is its own mirror image.
    half = picture(8 * scale, 6 * scale)
    whole = np.concatenate([half, half[..., ::-1]], axis=-1)
    for degrade in (bicubic_down, gaussian_down):
        lr = degrade(whole, scale)
        np.testing.assert_array_equal(lr, lr[..., ::-1])


@pytest.mark.parametrize("size", [(4, 4), (1, 9), (5, 4)])
def test_tiny_pictures_are_degraded_without_reading_outside(size: tuple[int, int]) -> None:
    flat = np.full((3, *size), 77, np.uint8)
    for degrade in (bicubic_down, gaussian_down_from_corner):
        assert np.unique(degrade(flat, 4)).tolist() == [77]


@pytest.mark.parametrize(
    ("degrade", "name"),
    [
        (bicubic_down, "bi"),
        (gaussian_down, "bd"),
        (gaussian_down_from_corner, "bd from the corner (DUF, RBPN)"),
        (lambda hr, scale: hr[..., ::scale, ::scale], "pixels dropped without a filter"),
    ],
)
def test_known_degradations_are_recognised(degrade: object, name: str) -> None:
    assert callable(degrade)
    hr = np.stack([picture(32, 48)])
    guess = guess_degradation(hr, degrade(hr, 4))
    assert (guess.name, guess.psnr_db, guess.is_sure) == (name, float("inf"), True)
    assert str(guess) == f"{name}, bit-exact"


def test_an_unknown_degradation_is_not_given_a_name() -> None:
    hr = np.stack([picture(32, 48)])
    lr = hr.reshape(1, 3, 8, 4, 12, 4).mean(axis=(3, 5)).astype(np.uint8)  # box average
    guess = guess_degradation(hr, lr)
    assert not guess.is_sure
    assert str(guess).startswith("unknown (nearest: ")


def test_size_ratio_allows_hr_that_is_no_multiple() -> None:
    assert size_ratio((577, 723), (144, 180)) == 4
    with pytest.raises(ValueError, match=r"720x576 .*100x144"):
        size_ratio((576, 720), (144, 100))
