from __future__ import annotations

import statistics

import pytest

from vsrc.runtime.report.distribution import PERCENTILES, distribution, percentile, samples_needed


def test_numbers_are_those_of_the_statistics_module() -> None:
    samples = [((index * 7919) % 1009) / 10 for index in range(1500)]
    found = distribution(samples)
    # `inclusive` is linear interpolation between order statistics, written independently of numpy.
    thousandths = statistics.quantiles(samples, n=1000, method="inclusive")
    assert found.mean == pytest.approx(statistics.fmean(samples))
    assert found.std == pytest.approx(statistics.stdev(samples))
    assert (found.min, found.max, found.count) == (min(samples), max(samples), 1500)
    for name, percent in PERCENTILES.items():
        expected = thousandths[round(percent * 10) - 1]
        assert getattr(found, name) == pytest.approx(expected)


def test_one_sample_has_no_spread_and_no_percentile() -> None:
    found = distribution([12.5])
    assert (found.count, found.mean, found.min, found.max) == (1, 12.5, 12.5, 12.5)
    assert found.std is None
    assert all(getattr(found, name) is None for name in PERCENTILES)


def test_two_samples_have_a_spread() -> None:
    # Worked by hand: mean 4, squares 1 and 1, divided by 2 - 1.
    assert distribution([3.0, 5.0]).std == pytest.approx(2**0.5)


@pytest.mark.parametrize(
    ("percent", "needed"), [(50, 2), (90, 10), (95, 20), (99, 100), (99.9, 1000)]
)
def test_a_percentile_appears_with_the_sample_that_can_lie_beyond_it(
    percent: float, needed: int
) -> None:
    assert samples_needed(percent) == needed
    assert percentile([1.0] * (needed - 1), percent) is None
    assert percentile([1.0] * needed, percent) == 1.0


@pytest.mark.parametrize("bad", [-0.1, float("nan"), float("inf")])
def test_a_sample_that_no_clock_gives_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=f" {bad}: "):
        distribution([1.0, bad])


def test_nothing_cannot_be_summed_up() -> None:
    with pytest.raises(ValueError, match="no samples"):
        distribution([])
