"""The device of a report."""

from __future__ import annotations

from dataclasses import dataclass

from vsrc.runtime.sensors.telemetry import Reading


@dataclass(frozen=True)
class Device:
    """What the device said while the network ran.

    Attributes:
        facts: What does not change: board, power mode, driver, governor.
        unreadable: What cannot be read -> why.
        busy_from_seconds: When the first sample of the first process began, on the clock of the
            readings.
        busy_to_seconds: When the last sample ended.
        throttle_events: Cause -> times that clocks were held down during the run; None where
            nothing counts them.
        readings: Twice a second, from before the model was loaded.
    """

    facts: dict[str, str]
    unreadable: dict[str, str]
    busy_from_seconds: float
    busy_to_seconds: float
    throttle_events: dict[str, int] | None
    readings: tuple[Reading, ...]
