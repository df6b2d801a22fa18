"""Compute mean power, throttling and thermal steady state from the readings of a device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vsrc.runtime.sensors.telemetry import Reading

SETTLED_SECONDS = 120.0
"""Period over which the temperature must be steady, seconds."""
SETTLED_CELSIUS = 1.0
"""Largest rise over that period that counts as steady, degrees Celsius."""
_LEAST_READINGS = 2


def mean_watts(
    readings: Sequence[Reading],
    sources: Sequence[str],
    windows: Sequence[tuple[float, float]],
) -> float | None:
    """Compute the mean power of all sources together over all windows; None where unknown.

    Energy counters are exact over any time; power readings are averaged over time.

    Args:
        readings: Readings in the order taken.
        sources: Sources whose power is summed.
        windows: Start and end of each window, seconds; those with too few readings are skipped.
    """
    energies = [_joules(readings, sources, window) for window in windows]
    known = [joules for joules in energies if joules is not None]
    if not known:
        return None
    return sum(joules for joules, _ in known) / sum(seconds for _, seconds in known)


def _joules(
    readings: Sequence[Reading], sources: Sequence[str], window: tuple[float, float]
) -> tuple[float, float] | None:
    """Return energy of all sources, joules, and the seconds between first and last reading."""
    inside = [reading for reading in readings if window[0] <= reading.seconds <= window[1]]
    if not sources or len(inside) < _LEAST_READINGS:
        return None
    watts = [_watts_of(inside, source) for source in sources]
    seconds = inside[-1].seconds - inside[0].seconds
    if None in watts or seconds <= 0:
        return None
    return sum(filter(None, watts)) * seconds, seconds


def _watts_of(inside: Sequence[Reading], source: str) -> float | None:
    counted = [
        (reading.seconds, reading.joules[source]) for reading in inside if source in reading.joules
    ]
    if len(counted) >= _LEAST_READINGS and counted[-1][1] > counted[0][1]:
        return (counted[-1][1] - counted[0][1]) / (counted[-1][0] - counted[0][0])
    read = [
        (reading.seconds, reading.watts[source]) for reading in inside if source in reading.watts
    ]
    if len(read) < _LEAST_READINGS:
        return None
    seconds, watts = np.array(read).T
    # The trapezoidal rule; NumPy's function for it has another name before 2.0.
    joules = float(np.sum(np.diff(seconds) * (watts[1:] + watts[:-1]) / 2))
    return joules / float(seconds[-1] - seconds[0])


def throttle_events(readings: Sequence[Reading]) -> dict[str, int] | None:
    """Return cause -> number of throttling events between the first reading and the last.

    Kernel counters are taken by their difference; a state that is only sampled counts each time
    that it begins. None where no reading has either.
    """
    counted: dict[str, list[int]] = {}
    for reading in readings:
        for cause, count in reading.throttle_counts.items():
            counted.setdefault(cause, []).append(count)
    events = {cause: counts[-1] - counts[0] for cause, counts in counted.items()}
    before: set[str] = set()
    for reading in readings:
        now = set(reading.throttle)
        for cause in now - before:
            events[cause] = events.get(cause, 0) + 1
        before = now
    if events:
        return events
    return {} if any("gpu" in reading.watts for reading in readings) else None


def has_settled(readings: Sequence[Reading]) -> bool | None:
    """Whether the hottest zone has reached a steady temperature.

    Returns:
        None where no temperature is read, or not for long enough yet.
    """
    hot = [
        (reading.seconds, max(reading.celsius.values())) for reading in readings if reading.celsius
    ]
    if not hot or hot[-1][0] - hot[0][0] < SETTLED_SECONDS:
        return None
    end = hot[-1][0]
    recent = np.array([pair for pair in hot if pair[0] >= end - SETTLED_SECONDS])
    if len(recent) < _LEAST_READINGS:
        return None
    slope = float(np.polyfit(recent[:, 0], recent[:, 1], 1)[0])
    return abs(slope) * SETTLED_SECONDS < SETTLED_CELSIUS
