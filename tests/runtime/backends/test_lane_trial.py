"""The trial of `lane_trial` on machines whose speed is given by a formula."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vsrc.runtime.backends import lane_trial
from vsrc.runtime.backends.lane_trial import LanePlan, LaneTrial

Speed = Callable[[int, int], float]
"""Windows a second with so many lanes, and threads in all."""


def run(trial: LaneTrial, speed: Speed, *, windows: int = 10_000) -> list[LanePlan]:
    """Feed windows to a trial until it ends; return the plans that were in use."""
    plans = [trial.plan]
    for _ in range(windows):
        plan = trial.plan
        seconds = plan.lanes / speed(plan.lanes, plan.threads)  # Little's law
        trial.add(seconds, windows=1, is_full=True)
        if trial.plan != plans[-1]:
            plans.append(trial.plan)
    return plans


@pytest.fixture(autouse=True)
def cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_trial, "thread_count", lambda threads=0: threads or 16)


@pytest.mark.parametrize(
    ("speed", "best"),
    [
        (lambda lanes, threads: threads + 0.1 * lanes, (16, 16)),  # every lane helps
        (lambda lanes, threads: threads - 0.5 * lanes, (1, 16)),  # every lane does harm
        (lambda lanes, threads: threads / (1 + abs(lanes - 4)), (4, 16)),
        (lambda lanes, threads: lanes / threads**2, (8, 8)),  # two threads share a core
    ],
)
def test_the_fastest_division_is_found(speed: Speed, best: tuple[int, int]) -> None:
    trial = LaneTrial(most=16)
    run(trial, speed)
    assert (trial.plan.lanes, trial.plan.threads) == best
    assert trial.choice.reason == "trial"
    fastest = max(trial.choice.rates, key=lambda rate: rate.windows_per_s)
    assert (fastest.lanes, fastest.threads) == best
    for rate in trial.choice.rates:
        assert rate.windows_per_s == pytest.approx(speed(rate.lanes, rate.threads))


def test_memory_limits_what_is_tried() -> None:
    trial = LaneTrial(most=3)
    plans = run(trial, lambda lanes, threads: threads + lanes)
    assert max(plan.lanes for plan in plans) == 3
    assert (trial.plan, trial.choice.most_lanes) == (LanePlan(3, 16), 3)


def test_a_trial_is_short() -> None:
    trial, windows, seconds = LaneTrial(most=16), 0, 0.0
    while not trial.is_done:
        plan = trial.plan
        trial.add(0.02 * plan.lanes, windows=1, is_full=True)  # 50 windows/s
        windows, seconds = windows + 1, seconds + 0.02
    assert seconds < 2.5
    assert windows < 130


def test_the_first_window_of_each_lane_does_not_count() -> None:
    trial = LaneTrial(most=16)
    for _ in range(16):
        trial.add(1000.0, windows=1, is_full=True)
    for _ in range(32):
        trial.add(1.6, windows=1, is_full=True)
    assert trial.choice.rates[0].windows_per_s == pytest.approx(10)


def test_features_of_a_frame_count_to_the_time_of_its_window() -> None:
    trial = LaneTrial(most=16)
    for _ in range(64):
        trial.add(1.0, windows=0, is_full=True)
        trial.add(3.0, windows=1, is_full=True)
    assert trial.choice.rates[0].windows_per_s == pytest.approx(16 / 4)


def test_lanes_that_wait_for_frames_are_not_timed() -> None:
    trial = LaneTrial(most=16)
    for _ in range(1000):
        trial.add(0.01, windows=1, is_full=False)
    assert (trial.choice.reason, trial.plan) == ("starved", LanePlan(16, 16))
    assert trial.choice.rates == ()


def test_threads_that_were_asked_for_are_taken() -> None:
    trial = LaneTrial(5, most=16)
    assert run(trial, lambda lanes, threads: threads / lanes) == [LanePlan(5, 5)]
    assert (trial.choice.reason, trial.choice.rates) == ("option", ())


def test_one_core_needs_no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_trial, "thread_count", lambda threads=0: threads or 1)
    assert LaneTrial(most=1).choice.reason == "single"
