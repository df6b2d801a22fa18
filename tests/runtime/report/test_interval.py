from __future__ import annotations

import numpy as np
import pytest

from vsrc.runtime.report.interval import Interval, enclose, interval_of, mean, median

RUNS, SAMPLES = 5, 60


def latencies(seed: int, *, between: float, memory: float) -> list[list[float]]:
    """Runs of log-normal samples about 10 ms.

    Args:
        seed: Of the noise.
        between: Standard deviation of the logarithm of a run's own level.
        memory: Share of a sample's deviation that the next one keeps.
    """
    generator = np.random.default_rng(seed)
    noise = generator.standard_normal((RUNS, SAMPLES))
    level = np.zeros((RUNS, SAMPLES))
    level[:, 0] = noise[:, 0]
    for at in range(1, SAMPLES):
        level[:, at] = memory * level[:, at - 1] + np.sqrt(1 - memory**2) * noise[:, at]
    own = between * generator.standard_normal((RUNS, 1))
    return [list(row) for row in 10 * np.exp(own + 0.05 * level)]


@pytest.mark.parametrize("memory", [0.0, 0.9])
@pytest.mark.parametrize("between", [0.0, 0.05, 0.2])
def test_the_interval_covers_the_truth_as_often_as_it_says(between: float, memory: float) -> None:
    truth = 10.0  # the median of the process: its logarithm is symmetric about log 10
    found = [interval_of(latencies(seed, between=between, memory=memory)) for seed in range(150)]
    hits = sum(one is not None and one.low <= truth <= one.high for one in found)
    # 95 % is promised; of 150 runs 90 % is nearly three standard errors below.
    assert hits / 150 >= 0.90
    # It also says something: at most a dozen standard errors of a mean of five levels.
    error = np.hypot(between, 0.05 if memory else 0.05 / np.sqrt(SAMPLES)) / np.sqrt(RUNS)
    widths = [(one.high - one.low) / truth for one in found if one]
    assert np.median(widths) < 12 * error


def test_two_reports_of_the_same_thing_agree_and_of_others_do_not() -> None:
    agreed = 0
    for seed in range(60):
        one, other = (
            interval_of(latencies(s, between=0.05, memory=0.5), mean) for s in (seed, seed + 500)
        )
        assert one
        assert other
        agreed += one.overlaps(other)
    # Two independent 95 % intervals of one thing overlap in 99 of 100 cases or so.
    assert agreed >= 57
    slower = [[1.2 * value for value in run] for run in latencies(2, between=0.01, memory=0.5)]
    one, other = interval_of(latencies(1, between=0.01, memory=0.5)), interval_of(slower)
    assert one
    assert other
    assert not one.overlaps(other)


def test_samples_of_one_process_do_not_make_it_narrower() -> None:
    # What differs is the level of a run; a hundred times the samples in each tell no more of it.
    levels = [9.0, 9.5, 10.0, 10.5, 11.0]
    few = interval_of([[level] * 3 for level in levels], mean)
    many = interval_of([[level] * 300 for level in levels], mean)
    assert few == many


@pytest.mark.parametrize("runs", [[], [[1.0] * 900], [[1.0] * 50, [1.0] * 50]])
def test_too_few_runs_have_no_interval(runs: list[list[float]]) -> None:
    assert interval_of(runs) is None


def test_a_wide_interval_of_what_is_positive_stays_positive() -> None:
    found = interval_of([[1.0], [10.0], [100.0]], mean)
    assert found
    assert found.low > 0
    assert found.high > 37
    stood_still = interval_of([[0.0], [1.0], [2.0]], mean)
    assert stood_still
    assert stood_still.low >= 0


def test_equal_samples_have_an_interval_of_no_width() -> None:
    assert interval_of([[3.0]] * 3) == Interval(3.0, 3.0)


def test_the_same_samples_give_the_same_interval() -> None:
    runs = latencies(3, between=0.05, memory=0.5)
    assert interval_of(runs, median) == interval_of(runs, median)


def test_what_is_not_known_does_not_count() -> None:
    parts = [Interval(2.0, 3.0), None, Interval(1.0, 2.5)]
    assert enclose(parts) == Interval(1.0, 3.0)
    assert enclose([None]) is None
