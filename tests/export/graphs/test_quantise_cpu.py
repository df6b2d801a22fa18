"""Weights for kernels that add two products in 16 bits: as fine as that permits, and no finer."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from vsrc.export.graphs.quantise_cpu import WEIGHT_LEVELS, quantise_cpu_weight

INT16 = np.iinfo(np.int16)


def random_weight(shape: tuple[int, ...], *, outlier: float, seed: int) -> NDArray[np.float32]:
    weight = np.random.default_rng(seed).normal(0, 0.1, shape).astype(np.float32)
    weight[0].flat[0] = outlier
    return weight


@pytest.mark.parametrize("shape", [(8, 4, 3, 3), (5, 1, 3, 3), (3, 1, 1, 1), (2, 2, 1, 1)])
@pytest.mark.parametrize("outlier", [0.0, 0.3, -0.3, 1.0, -4.0])
def test_no_two_products_overflow_16_bits(shape: tuple[int, ...], outlier: float) -> None:
    for seed in range(20):
        whole, steps = quantise_cpu_weight(random_weight(shape, outlier=outlier, seed=seed))
        assert steps.shape == shape[:1]
        for row in whole.reshape(shape[0], -1).astype(int):
            sums = [255 * (one + other) for one, other in itertools.combinations(row.tolist(), 2)]
            assert all(INT16.min <= each <= INT16.max for each in sums)


def test_a_channel_that_passes_a_picture_on_has_finer_steps() -> None:
    weight = random_weight((8, 4, 3, 3), outlier=1.0, seed=3)
    whole, steps = quantise_cpu_weight(weight)
    coarse = np.abs(weight).max(axis=(1, 2, 3)) / WEIGHT_LEVELS
    assert steps[0] < 0.75 * coarse[0]  # the second largest is a fourth of the largest
    assert (steps <= 1.0001 * coarse).all()
    # Sums are kept, so a weight may be rounded to the farther of two numbers.
    assert (np.abs(whole * steps[:, None, None, None] - weight) < steps[:, None, None, None]).all()


def test_weights_of_zero_stay_zero() -> None:
    whole, steps = quantise_cpu_weight(np.zeros((2, 3, 3, 3), np.float32))
    assert not whole.any()
    assert (steps > 0).all()
