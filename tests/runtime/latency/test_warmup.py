from __future__ import annotations

import numpy as np
import pytest

from vsrc.runtime.latency.warmup import LEAST_SAMPLES, is_steady, warmup_length


def noisy(count: int, seed: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """20 ms, give or take 0.5, and now and then 10 ms more."""
    generator = np.random.default_rng(seed)
    spikes = 10.0 * (generator.random(count) < 0.02)
    return 20 + generator.normal(0, 0.5, count) + spikes


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("slow", [10, 40, 75])
def test_a_slow_start_is_cut_where_it_ends(slow: int, seed: int) -> None:
    series = noisy(300, seed)
    series[:slow] += 6
    found = warmup_length(list(series))
    # Never inside the slow part; past it, noise may cost a little of what was good.
    assert slow <= found <= slow + 75
    assert is_steady(list(series[found:]))


@pytest.mark.parametrize("seed", range(5))
def test_a_decay_is_cut_once_it_is_lost_in_the_noise(seed: int) -> None:
    series = noisy(400, seed) + 8 * np.exp(-np.arange(400) / 10)
    found = warmup_length(list(series))
    # The decay falls under the noise of 0.5 ms after 10 * ln(8 / 0.5) = 28 samples.
    assert 15 <= found <= 120


@pytest.mark.parametrize("seed", range(5))
def test_a_steady_series_is_kept_nearly_whole(seed: int) -> None:
    series = list(noisy(400, seed))
    assert warmup_length(series) <= 80
    assert is_steady(series)


def test_a_lone_spike_is_part_of_the_distribution() -> None:
    series = [20.0 + 0.01 * (index % 7) for index in range(200)]
    series[30] = 500.0
    assert warmup_length(series) <= 30


def test_a_drift_is_not_called_steady() -> None:
    series = list(noisy(400, 0) + np.linspace(0, 8, 400))
    kept = series[warmup_length(series) :]
    assert is_steady(kept) is False


@pytest.mark.parametrize("count", [1, 4, 5, LEAST_SAMPLES - 1])
def test_few_samples_tell_nothing(count: int) -> None:
    series = [9.0] + [1.0] * (count - 1)
    assert warmup_length(series) == 0
    assert is_steady(series) is None


def test_equal_samples_are_steady() -> None:
    assert warmup_length([3.0] * 50) == 0
    assert is_steady([3.0] * 50) is True
