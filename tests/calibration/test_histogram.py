"""Counts against NumPy's own histogram."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vsrc.calibration.histogram import BINS, Histogram


def _filled(*parts: NDArray[np.float32]) -> Histogram:
    histogram = Histogram()
    for part in parts:
        histogram.add(part, low=float(part.min()), high=float(part.max()))
    return histogram


def _values(scale: float, seed: int = 0) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).normal(size=5000) * scale).astype(np.float32)


def test_counts_are_those_of_numpy() -> None:
    values = _values(0.3)
    histogram = _filled(values)
    reach = 2.0**histogram.exponent
    assert reach / 2 <= np.abs(values).max() < reach
    expected, _ = np.histogram(values, bins=BINS, range=(-reach, reach))
    # NumPy computes edges in float64, so a value on an edge may lie one bin beside it.
    assert np.abs(np.cumsum(histogram.counts) - np.cumsum(expected)).max() <= 1


def test_order_does_not_matter() -> None:
    parts = [_values(0.001, 1), _values(40.0, 2), _values(1.0, 3)]
    one, other = _filled(*parts), _filled(*reversed(parts))
    np.testing.assert_array_equal(one.counts, other.counts)
    assert (one.exponent, one.low, one.high) == (other.exponent, other.low, other.high)


def test_dark_first_frame_costs_no_memory() -> None:
    # ONNX Runtime's collector would need 10 million bins for these two.
    histogram = _filled(_values(1e-6), _values(10.0))
    assert histogram.counts.shape == (BINS,)
    assert histogram.counts.sum() == 10_000


def test_zeros_alone_are_a_range_of_zero() -> None:
    histogram = _filled(np.zeros(100, np.float32))
    assert (histogram.low, histogram.high) == (0.0, 0.0)
    assert histogram.counts[BINS // 2] == 100


def test_occupied_bins_are_centred_and_hold_everything() -> None:
    values = np.abs(_values(0.7))
    counts, edges = _filled(values).occupied()
    assert counts.sum() == values.size
    assert len(edges) == len(counts) + 1
    assert edges[len(counts) // 2] == 0
    assert edges[-2] <= values.max() <= edges[-1]
