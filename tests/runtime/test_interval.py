from __future__ import annotations

import numpy as np
import pytest

from vsrc.runtime.interval import Interval, interval_of, mean, median


def latencies(count: int, *, memory: float, seed: int) -> list[float]:
    """Log-normal about 10 ms, each sample like the one before, with rare spikes."""
    generator = np.random.default_rng(seed)
    noise = generator.standard_normal(count + 100)
    level = np.zeros(count + 100)
    for index in range(1, count + 100):
        level[index] = memory * level[index - 1] + np.sqrt(1 - memory**2) * noise[index]
    spikes = (generator.random(count) < 0.02) * generator.exponential(10, count)
    return list(10 * np.exp(0.05 * level[100:]) + spikes)


@pytest.mark.parametrize(("memory", "least"), [(0.0, 0.90), (0.5, 0.90), (0.9, 0.86)])
def test_the_interval_covers_the_truth_as_often_as_it_says(memory: float, least: float) -> None:
    # The median of the process itself: spikes and memory included, from a series so long that its
    # own error is a hundredth of an interval.
    truth = median(np.array(latencies(400_000, memory=0.0, seed=10_000)))
    hits = 0
    widths = []
    for seed in range(120):
        found = interval_of([latencies(400, memory=memory, seed=seed)])
        assert found is not None
        hits += found.low <= truth <= found.high
        widths.append(found.high - found.low)
    # 95 % is promised; of 120 runs 90 % is two and a half standard errors below. A series that
    # remembers nine tenths holds but 20 independent samples in 400, and loses a little.
    assert least <= hits / 120
    assert np.median(widths) < 0.1 * truth  # it also says something


def test_two_runs_of_the_same_thing_agree() -> None:
    agreed = 0
    for seed in range(60):
        one, other = (interval_of([latencies(400, memory=0.5, seed=s)]) for s in (seed, seed + 500))
        assert one
        assert other
        agreed += one.overlaps(other)
    # Two independent 95 % intervals of one thing overlap in 99 of 100 cases or so.
    assert agreed >= 57


def test_two_runs_of_different_things_do_not_agree() -> None:
    one = interval_of([latencies(400, memory=0.5, seed=1)])
    other = interval_of([[1.1 * value for value in latencies(400, memory=0.5, seed=2)]])
    assert one
    assert other
    assert not one.overlaps(other)


def test_noise_between_runs_widens_the_interval() -> None:
    # Each run is set up anew and has a level of its own: 5 % apart, though each alone is steady.
    levels = np.random.default_rng(0).normal(1.0, 0.05, (100, 8))
    samples = np.array(latencies(50, memory=0.0, seed=1))
    hits = 0
    for row in levels:
        found = interval_of([list(level * samples) for level in row], mean)
        assert found
        hits += found.low <= mean(samples) <= found.high
    assert hits >= 88


@pytest.mark.parametrize("runs", [[], [[1.0] * 9], [[1.0] * 50, [1.0] * 50]])
def test_too_few_samples_have_no_interval(runs: list[list[float]]) -> None:
    assert interval_of(runs) is None


def test_equal_samples_have_an_interval_of_no_width() -> None:
    assert interval_of([[3.0] * 10]) == Interval(3.0, 3.0)


def test_the_same_samples_give_the_same_interval() -> None:
    samples = latencies(100, memory=0.5, seed=3)
    assert interval_of([samples]) == interval_of([samples])
