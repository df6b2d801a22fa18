from __future__ import annotations

import dataclasses
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
from numpy.typing import NDArray

from vsrc.compressor.data.coded import Codec, code
from vsrc.compressor.data.library import LibraryClip
from vsrc.compressor.data.real import RealDraw, degrade_real, draw_real
from vsrc.compressor.data.window import CropWindow, cut

Planes = NDArray[np.uint8]

CLEAN = RealDraw(
    sigmas=(0.0, 0.0), angle=0.0, middle=1.0, resizes=("bicubic", "bicubic"), gaussian_noise=0.0,
    grey_noise=False, shot_noise=0.0, jpeg=0, codec=None, quality=2,
)  # fmt: skip


def smooth_clip(length: int = 3, height: int = 64, width: int = 96) -> Planes:
    """`(L, 3, H, W)`: waves that move."""
    rows, columns = np.mgrid[:height, :width] / 16
    phases = np.arange(3 * length).reshape(length, 3, 1, 1)
    return np.asarray(127 + 100 * np.sin(rows + columns + phases / 5), dtype=np.uint8)


def degrade(draw: RealDraw, *, seed: int = 0, clip: Planes | None = None) -> Planes:
    hr = smooth_clip() if clip is None else clip
    return degrade_real(hr, scale=4, draw=draw, rng=np.random.default_rng(seed))


def psnr(left: Planes, right: Planes) -> float:
    return float(10 * np.log10(255**2 / np.mean((left.astype(float) - right) ** 2)))


def test_same_seed_gives_the_same_bytes() -> None:
    for seed in range(24):  # two dozen draws meet every step and codec
        first, second = (
            degrade(draw_real(rng, scale=4), seed=seed)
            for rng in (np.random.default_rng(seed), np.random.default_rng(seed))
        )
        np.testing.assert_array_equal(first, second)


def test_draws_meet_every_step() -> None:
    draws = [draw_real(np.random.default_rng(seed), scale=4) for seed in range(60)]
    codecs = {"libx264", "libx265", "libvpx-vp9", "mpeg4", "mpeg2video", None}
    assert {draw.codec for draw in draws} == codecs
    assert {draw.resizes[0] for draw in draws} == {"area", "bilinear", "bicubic"}
    for field in ("gaussian_noise", "shot_noise", "jpeg", "grey_noise"):
        assert len({bool(getattr(draw, field)) for draw in draws}) == 2
    assert len({draw.sigmas == (0.0, 0.0) for draw in draws}) == 2


@pytest.mark.parametrize("size", [(64, 96), (20, 28), (4, 4)])
def test_lr_has_the_size_of_hr_divided_by_the_scale(size: tuple[int, int]) -> None:
    clip = smooth_clip(2, *size)
    for seed in range(6):
        lr = degrade(draw_real(np.random.default_rng(seed), scale=4), clip=clip)
        assert lr.shape == (2, 3, size[0] // 4, size[1] // 4)
        assert lr.dtype == np.uint8


def test_blur_of_equal_sigmas_is_a_plain_gaussian() -> None:
    point = np.zeros((1, 3, 33, 33), np.uint8)
    point[..., 16, 16] = 255
    draw = dataclasses.replace(CLEAN, sigmas=(1.5, 1.5), angle=0.7)
    blurred = degrade_real(point, scale=1, draw=draw, rng=np.random.default_rng(0))
    axis = np.arange(33) - 16
    expected = np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * 1.5**2))
    expected *= 255 / expected.sum()
    # The kernel ends at 7 pixels, where the Gaussian still is 1e-5 of its peak.
    assert np.abs(blurred[0, 0] - expected).max() <= 0.51


def test_blur_turns_with_its_angle() -> None:
    point = np.zeros((1, 3, 33, 33), np.uint8)
    point[..., 16, 16] = 255
    flat = dataclasses.replace(CLEAN, sigmas=(3.0, 0.5))
    rng = np.random.default_rng(0)
    across = degrade_real(point, scale=1, draw=flat, rng=rng)[0, 0]
    turned = dataclasses.replace(flat, angle=np.pi / 2)
    along = degrade_real(point, scale=1, draw=turned, rng=rng)[0, 0]
    assert (across[16] > 0).sum() > 3 * (across[:, 16] > 0).sum()
    np.testing.assert_array_equal(along, across.T)


def test_noise_has_the_deviation_that_was_drawn() -> None:
    grey = np.full((2, 3, 128, 128), 64, np.uint8)
    for draw, deviation in (
        (dataclasses.replace(CLEAN, gaussian_noise=8.0), 8.0),
        (dataclasses.replace(CLEAN, shot_noise=8.0), 8.0 * np.sqrt(64 / 255)),
    ):
        noisy = degrade_real(grey, scale=1, draw=draw, rng=np.random.default_rng(1)).astype(float)
        # 98,304 samples: 0.7 % of sampling error at three sigma; rounding adds 1/12 to variance.
        assert noisy.std() == pytest.approx(deviation, rel=0.02)
    same = dataclasses.replace(CLEAN, gaussian_noise=8.0, grey_noise=True)
    noisy = degrade_real(grey, scale=1, draw=same, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(noisy[:, 0], noisy[:, 2])


@pytest.mark.parametrize(
    ("codec", "fine", "coarse"),
    [
        ("mjpeg", 2, 20),
        ("mpeg2video", 2, 20),
        ("mpeg4", 2, 20),
        ("libx264", 8, 40),
        ("libx265", 8, 40),
        ("libvpx-vp9", 10, 60),
    ],
)
def test_codecs_keep_order_and_size_and_lose_what_they_are_told(
    codec: Codec, fine: int, coarse: int
) -> None:
    clip = smooth_clip(5, 37, 51)
    good, bad = (code(clip, codec, quality=quality) for quality in (fine, coarse))
    assert good.shape == clip.shape
    for number, frame in enumerate(good):
        nearest = max(range(5), key=lambda other: psnr(frame, clip[other]))
        assert nearest == number
    # Half-size chroma alone costs this much on colours that move against each other.
    assert psnr(good, clip) > 30
    assert psnr(bad, clip) < psnr(good, clip) - 3


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libvpx-vp9"])
def test_encoders_give_the_same_bytes_every_time(codec: Codec) -> None:
    rng = np.random.default_rng(2)
    clip = rng.integers(0, 256, (5, 3, 40, 40), np.uint8).repeat(4, 2).repeat(4, 3)
    results = {code(clip, codec, quality=23).tobytes() for _ in range(8)}
    assert len(results) == 1


def clip_without_lr(hr: Planes) -> LibraryClip:
    clip = Mock(spec=LibraryClip)
    clip.hr_frames.return_value = hr
    clip.lr_frames.return_value = None
    return clip


def test_frames_of_a_window_are_damaged_alike() -> None:
    # The first frame of a coded clip is intra and better than the others; windows begin anywhere.
    rng = np.random.default_rng(0)
    still = smooth_clip(1, 128, 256)[0] // 2 + rng.integers(0, 90, (3, 128, 256), dtype=np.uint8)
    clip = np.stack([np.roll(still, 4 * shift, axis=2) for shift in range(24)])
    window = CropWindow(9, 14, 0, 0, 32, 64)
    errors = []
    for seed in range(60):
        drawn = draw_real(np.random.default_rng(seed), scale=4)
        if drawn.codec != "libx264" or drawn.sigmas != (0.0, 0.0):
            continue
        lr, hr = cut(clip_without_lr(clip), window, scale=4, rng=np.random.default_rng(seed))
        assert lr.shape == (5, 3, 32, 64)
        assert hr.shape == (5, 3, 128, 256)
        undamaged = degrade_real(
            clip, scale=4, draw=replace(drawn, codec=None), rng=np.random.default_rng(seed)
        )
        errors.append([np.std(lr[i].astype(float) - undamaged[9 + i]) for i in range(5)])
    mean = np.mean(errors, axis=0)
    assert len(errors) > 10
    assert mean[0] > 0.97 * mean.mean()  # 0.93 where each window is coded by itself
