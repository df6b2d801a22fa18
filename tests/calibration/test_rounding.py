"""Rounding that keeps sums, judged by convolutions of smooth pictures."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from vsrc.calibration.qdq import quantise_weight
from vsrc.calibration.rounding import round_keeping_sums


@pytest.fixture
def steps() -> NDArray[np.float64]:
    """Weights in units of their scale, the largest exactly 64."""
    weight = np.random.default_rng(0).normal(0, 20, (32, 15, 3, 3))
    largest = np.abs(weight).max(axis=(1, 2, 3), keepdims=True)
    return np.asarray(weight * (64 / largest))


def test_sums_are_kept(steps: NDArray[np.float64]) -> None:
    whole = round_keeping_sums(steps)
    errors = whole - steps
    np.testing.assert_array_equal(whole, np.rint(whole))
    assert np.abs(errors).max() < 1
    assert np.abs(whole).max() <= 64
    assert np.abs(errors.sum(axis=(1, 2, 3))).max() <= 0.5 + 1e-9
    # Kernels to half a step, of which the sum over all may take one more.
    assert np.abs(errors.sum(axis=(2, 3))).max() <= 1.5 + 1e-9
    nearest = np.rint(steps) - steps
    assert np.abs(nearest.sum(axis=(1, 2, 3))).max() > 5  # there was something to keep


def test_whole_numbers_stay() -> None:
    whole = np.arange(-12.0, 12.0).reshape(2, 3, 2, 2)
    np.testing.assert_array_equal(round_keeping_sums(whole), whole)


def test_smooth_pictures_come_nearer(steps: NDArray[np.float64]) -> None:
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[0:20, 0:24] / 24
    level = rng.uniform(0.2, 0.6, (15, 1, 1))
    picture = level + 0.2 * np.sin(rows * rng.uniform(1, 5, (15, 1, 1)) + columns)
    views = np.lib.stride_tricks.sliding_window_view(picture, (3, 3), axis=(1, 2))

    def error(whole: NDArray[np.float64]) -> float:
        return float(np.mean(np.einsum("iyxab,oiab->oyx", views, whole - steps) ** 2))

    assert error(round_keeping_sums(steps)) < error(np.rint(steps)) / 10


def test_int8_weights_keep_sums_on_request() -> None:
    weight = np.random.default_rng(2).normal(size=(4, 6, 3, 3)).astype(np.float32)
    small, scale = quantise_weight(weight, axis=0, levels=64, rounding=round_keeping_sums)
    nearest, same = quantise_weight(weight, axis=0, levels=64)
    np.testing.assert_array_equal(scale, same)
    exact = weight.sum(axis=(1, 2, 3)) / scale
    assert np.abs(small.sum(axis=(1, 2, 3), dtype=int) - exact).max() <= 0.501
    assert (small != nearest).any()
