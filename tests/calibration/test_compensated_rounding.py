"""Rounding by second moments, judged by the outputs of convolutions and by a search of all ways."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from vsrc.calibration.compensated_rounding import CompensatedRounding
from vsrc.calibration.rounding import round_keeping_sums

Patches = NDArray[np.float64]


def smooth_patches(channels: int, *, seed: int) -> Patches:
    """Patches of smooth pictures with some noise, `(P, I 3 3)`."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:40, 0:44] / 44
    level, wave = rng.uniform(0.2, 0.6, (channels, 1, 1)), rng.uniform(1, 5, (channels, 1, 1))
    pictures = level + 0.2 * np.sin(rows * wave + columns) + rng.normal(0, 0.02, level.shape)
    pictures = pictures + rng.normal(0, 0.02, pictures.shape)
    views = np.lib.stride_tricks.sliding_window_view(pictures, (3, 3), axis=(1, 2))
    return np.moveaxis(views, 0, 2).reshape(-1, channels * 9)


def moments_of(patches: Patches) -> NDArray[np.float64]:
    return np.asarray(patches.T @ patches / len(patches))


def output_error(whole: NDArray[np.float64], steps: NDArray[np.float64], patches: Patches) -> float:
    return float(np.mean((patches @ (whole - steps).reshape(len(steps), -1).T) ** 2))


@pytest.fixture
def steps() -> NDArray[np.float64]:
    """Weights in units of their scale, the largest exactly 64."""
    weight = np.random.default_rng(0).normal(0, 20, (16, 6, 3, 3))
    return np.asarray(weight * (64 / np.abs(weight).max(axis=(1, 2, 3), keepdims=True)))


def test_outputs_of_pictures_that_were_not_measured_come_nearer(steps: NDArray[np.float64]) -> None:
    patches = smooth_patches(6, seed=1)
    whole = CompensatedRounding(moments_of(patches))(steps)
    np.testing.assert_array_equal(whole, np.rint(whole))
    assert np.abs(whole).max() <= 64
    error = output_error(whole, steps, patches)
    assert error < output_error(round_keeping_sums(steps), steps, patches) / 3
    assert error < output_error(np.rint(steps), steps, patches) / 50
    # The same scene with other noise.
    others = patches + np.random.default_rng(2).normal(0, 0.02, patches.shape)
    assert output_error(whole, steps, others) < output_error(np.rint(steps), steps, others) / 10


def test_a_few_weights_are_rounded_nearly_as_well_as_by_trying_all_ways() -> None:
    rng = np.random.default_rng(3)
    patches = smooth_patches(1, seed=4)
    rounding = CompensatedRounding(moments_of(patches))
    errors = []
    for _ in range(40):
        row = rng.uniform(-3.5, 3.5, (1, 1, 3, 3))
        row.flat[0] = 4.0  # the largest
        ways = np.array(
            list(itertools.product(*((np.floor(w), np.floor(w) + 1) for w in row.flat)))
        )
        best = np.mean((patches @ (ways - row.ravel()).T) ** 2, axis=0).min()
        errors.append([output_error(each(row), row, patches) for each in (rounding, np.rint)])
        errors[-1].append(best)
    mine, nearest, best = np.mean(errors, axis=0)
    assert best <= mine < 1.1 * best
    assert mine < nearest / 5


def test_without_correlation_each_weight_goes_to_the_nearest(steps: NDArray[np.float64]) -> None:
    whole = CompensatedRounding(np.diag(np.linspace(1, 2, 54)))(steps)
    np.testing.assert_array_equal(whole, np.rint(steps))


def test_whole_numbers_and_added_channels_of_zeros_stay(steps: NDArray[np.float64]) -> None:
    rounding = CompensatedRounding(moments_of(smooth_patches(6, seed=1)))
    np.testing.assert_array_equal(rounding(np.rint(steps)), np.rint(steps))
    padded = np.pad(steps, ((0, 0), (0, 2), (0, 0), (0, 0)))
    whole = rounding(padded)
    assert not whole[:, 6:].any()
    np.testing.assert_array_equal(whole[:, :6], rounding(steps))


def test_divided_input_channels_have_other_moments(steps: NDArray[np.float64]) -> None:
    patches = smooth_patches(6, seed=1)
    divisors = np.geomspace(0.2, 5, 6)
    divided = (patches.reshape(-1, 6, 9) / divisors[:, None]).reshape(len(patches), -1)
    rounding = CompensatedRounding(moments_of(patches)).balanced(divisors.tolist())
    expected = CompensatedRounding(moments_of(divided))(steps)
    found = rounding(steps)
    assert output_error(found, steps, divided) == pytest.approx(
        output_error(expected, steps, divided), rel=1e-6
    )
