from __future__ import annotations

from collections.abc import Iterator

import pytest

from vsrc.runtime.errors import VsrcError
from vsrc.runtime.latency.sampling import PATIENCE, Plan, Series, soak, take_samples


class FakeTime:
    """A clock that a fake job moves on; each call of the job takes the next duration."""

    def __init__(self, durations_ms: Iterator[float], *, between_ms: float = 0.0) -> None:
        self.durations_ms = durations_ms
        self.between_ms = between_ms
        self.now_ns = 1_000
        self.runs = 0

    def run(self) -> None:
        self.runs += 1
        self.now_ns += round(next(self.durations_ms) * 1e6)

    def clock(self) -> int:
        self.now_ns += round(self.between_ms * 1e6 / 2)  # half before and half after each run
        return self.now_ns

    def take(self, plan: Plan) -> Series:
        return take_samples(self.run, plan, clock=self.clock)


def constant(value_ms: float) -> Iterator[float]:
    while True:
        yield value_ms


def slow_start(slow: int) -> Iterator[float]:
    yield from [30.0] * slow
    yield from constant(10.0)


def test_iterations_are_counted_after_warm_up() -> None:
    time = FakeTime(slow_start(20))
    series = time.take(Plan(samples=100))
    assert series.warmup_ms == (30.0,) * 20
    assert len(series.steady_ms) >= 100
    assert set(series.steady_ms) == {10.0}
    assert series.steady is True
    assert time.runs == 20 + len(series.steady_ms)


def test_seconds_are_spent_after_warm_up() -> None:
    series = FakeTime(slow_start(20)).take(Plan(samples=1, seconds=2.0))
    assert 2000 <= sum(series.steady_ms) <= 2500
    assert len(series.warmup_ms) == 20


def test_both_limits_hold() -> None:
    series = FakeTime(constant(50.0)).take(Plan(samples=100, seconds=1.0))
    assert len(series.steady_ms) == 100


def test_one_iteration_is_one_iteration() -> None:
    time = FakeTime(constant(7.0))
    series = time.take(Plan(samples=1))
    assert (time.runs, series.steady_ms, series.steady) == (1, (7.0,), None)


def test_wall_time_counts_what_lies_between_the_samples() -> None:
    series = FakeTime(constant(10.0), between_ms=2.0).take(Plan(samples=50))
    # Each of the 50 runs is seen as 10 + 1 ms, and 49 gaps of 1 ms lie between them.
    assert series.steady_wall_seconds == pytest.approx((50 * 11 + 49 * 1) / 1000)


def test_a_series_that_never_settles_ends_and_says_so() -> None:
    rising = iter(10.0 + 0.1 * index for index in range(10_000))
    time = FakeTime(rising)
    series = time.take(Plan(samples=100))
    assert series.steady is False
    assert 100 * PATIENCE <= time.runs <= 100 * PATIENCE * 1.2


def test_progress_is_told_after_each_sample() -> None:
    time, told = FakeTime(constant(10.0)), list[tuple[int, float]]()
    take_samples(
        time.run,
        Plan(samples=3),
        clock=time.clock,
        progress=lambda samples, seconds: told.append((samples, seconds)),
    )
    assert told == [(1, 0.01), (2, 0.02), (3, pytest.approx(0.03))]


def test_a_clock_that_runs_backwards_is_an_error() -> None:
    with pytest.raises(VsrcError, match="5000000 ns"):
        FakeTime(iter([1.0, -5.0])).take(Plan(samples=2))


def test_a_clock_that_stands_still_is_an_error() -> None:
    with pytest.raises(VsrcError, match="did not advance"):
        FakeTime(constant(0.0)).take(Plan(samples=3))


def test_a_soak_lasts_as_long_as_it_was_asked_for() -> None:
    time = FakeTime(constant(100.0))
    series = soak(time.run, 30.0, lambda: False, clock=time.clock)
    assert len(series.steady_ms) == 300
    assert series.warmup_ms == ()


def test_a_soak_ends_when_the_device_has_settled() -> None:
    time, asked = FakeTime(constant(100.0)), []

    def settled() -> bool:
        asked.append(time.now_ns)
        return len(asked) == 7

    series = soak(time.run, 600.0, settled, clock=time.clock)
    assert len(series.steady_ms) == pytest.approx(70, abs=1)  # asked once a second
    assert len(asked) == 7


def test_warm_up_of_a_soak_lies_in_its_beginning_and_heat_stays_in() -> None:
    def heating() -> Iterator[float]:
        yield from [80.0] * 20
        yield from [20.0] * 1500
        yield from constant(40.0)

    time = FakeTime(heating())
    series = soak(time.run, 90.0, lambda: False, clock=time.clock)
    assert series.warmup_ms == (80.0,) * 20
    assert series.steady_ms[0] == 20.0
    assert series.steady_ms[-1] == 40.0
    assert series.steady is False


def test_a_soak_on_a_clock_that_stands_still_is_an_error() -> None:
    time = FakeTime(constant(0.0))
    with pytest.raises(VsrcError, match="did not advance"):
        soak(time.run, 1.0, lambda: False, clock=time.clock)
