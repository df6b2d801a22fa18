"""PSNR by hand and SSIM against scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest

from support.optional import skip_without
from vsrc.runtime.picture.likeness import luma, psnr, ssim


def test_luma_of_black_white_and_red_is_that_of_bt601() -> None:
    pixels = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0]]], np.uint8)
    np.testing.assert_allclose(luma(pixels), [[16.0, 235.0, 81.481]], atol=1e-9)


def test_psnr_of_a_difference_of_one_is_48_db_in_rgb() -> None:
    truth = np.zeros((4, 4, 3), np.uint8)
    assert psnr(truth + np.uint8(1), truth, y_only=False) == pytest.approx(20 * math.log10(255))


def test_psnr_leaves_out_the_border() -> None:
    truth = np.zeros((6, 6, 3), np.uint8)
    picture = truth.copy()
    picture[0] = 255
    assert psnr(picture, truth, border=1) == math.inf
    assert psnr(picture, truth) < 20


def test_ssim_agrees_with_scikit_image() -> None:
    skip_without("skimage")
    from skimage.metrics import structural_similarity

    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (24, 31, 3), dtype=np.uint8)
    picture = np.clip(truth + rng.normal(0, 20, truth.shape), 0, 255).astype(np.uint8)
    expected = structural_similarity(  # type: ignore[no-untyped-call]
        luma(picture),
        luma(truth),
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )[1]
    # scikit-image averages over the valid windows too once the map is cropped by the radius.
    assert ssim(picture, truth) == pytest.approx(float(expected[5:-5, 5:-5].mean()), abs=1e-9)


def test_sizes_that_differ_or_leave_nothing_are_refused() -> None:
    picture = np.zeros((12, 12, 3), np.uint8)
    with pytest.raises(ValueError, match="differ"):
        psnr(picture, picture[:-1])
    with pytest.raises(ValueError, match="leaves nothing"):
        psnr(picture, picture, border=6)
    with pytest.raises(ValueError, match=r"\(10, 10\) .*11 x 11"):
        ssim(picture, picture, border=1)
