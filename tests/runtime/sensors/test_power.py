from __future__ import annotations

import pytest

from vsrc.runtime.sensors.power import has_settled, mean_watts, throttle_events
from vsrc.runtime.sensors.telemetry import Reading


def test_watts_are_averaged_over_time_and_not_over_readings() -> None:
    # 10 W for nine seconds and 20 W for one, read often at the end.
    times = [0.0, 9.0, 9.0001, 9.25, 9.5, 9.75, 10.0]
    watts = [10.0, 10.0, 20.0, 20.0, 20.0, 20.0, 20.0]
    readings = [Reading(t, watts={"a": w}) for t, w in zip(times, watts, strict=True)]
    assert mean_watts(readings, ("a",), [(0, 10)]) == pytest.approx(11.0, abs=0.01)


def test_an_energy_counter_goes_before_readings_of_power() -> None:
    readings = [Reading(float(t), joules={"a": 100 + 7.0 * t}, watts={"a": 1.0}) for t in range(5)]
    assert mean_watts(readings, ("a",), [(0, 4)]) == pytest.approx(7.0)


def test_sources_are_added_up() -> None:
    readings = [
        Reading(float(t), joules={"cpu": 3.0 * t}, watts={"gpu": 5.0, "part of gpu": 2.0})
        for t in range(5)
    ]
    assert mean_watts(readings, ("cpu", "gpu"), [(0, 4)]) == pytest.approx(8.0)


def test_only_the_time_asked_about_counts() -> None:
    readings = [Reading(float(t), watts={"a": 5.0 if t <= 3 else 50.0}) for t in range(10)]
    assert mean_watts(readings, ("a",), [(0, 3)]) == pytest.approx(5.0)


def test_several_windows_are_averaged_by_their_time() -> None:
    # Three seconds at 5 W and one at 9 W; between them 50 W that nobody asked about.
    watts = [5.0] * 4 + [50.0] * 3 + [9.0] * 2
    readings = [Reading(float(t), watts={"a": w}) for t, w in enumerate(watts)]
    assert mean_watts(readings, ("a",), [(0, 3), (7, 8)]) == pytest.approx(6.0)
    assert mean_watts(readings, ("a",), [(0, 3), (8, 8)]) == pytest.approx(5.0)  # one reading


@pytest.mark.parametrize(
    ("sources", "end"), [((), 9.0), (("a", "b"), 9.0), (("a",), 0.5)], ids=["none", "one", "short"]
)
def test_what_is_not_known_is_none_and_never_zero(sources: tuple[str, ...], end: float) -> None:
    readings = [Reading(float(t), watts={"a": 5.0}) for t in range(10)]
    assert mean_watts(readings, sources, [(0.0, end)]) is None


def test_throttling_is_counted_from_counters_and_from_states() -> None:
    states = [(), ("heat",), ("heat",), (), ("heat", "power limit")]
    readings = [
        Reading(float(at), throttle=state, throttle_counts={"cpu heat": 3 + at // 2})
        for at, state in enumerate(states)
    ]
    assert throttle_events(readings) == {"cpu heat": 2, "heat": 2, "power limit": 1}
    assert throttle_events([Reading(0.0), Reading(1.0)]) is None
    assert throttle_events([Reading(0.0, watts={"gpu": 3.0})]) == {}


@pytest.mark.parametrize(
    ("rise_per_minute", "seconds", "settled"),
    [(0.2, 300, True), (2.0, 300, False), (-2.0, 300, False), (0.0, 60, None)],
)
def test_heat_settles_when_it_rises_less_than_a_degree_in_two_minutes(
    rise_per_minute: float, seconds: int, settled: bool | None
) -> None:
    readings = [
        Reading(
            float(t), celsius={"cool": 20.0, "hot": 60 + rise_per_minute * t / 60 + t % 2 * 0.5}
        )
        for t in range(seconds)
    ]
    assert has_settled(readings) is settled
    assert has_settled([Reading(float(t)) for t in range(300)]) is None
