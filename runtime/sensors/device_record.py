"""The device section of a report."""

from __future__ import annotations

from dataclasses import dataclass

from vsrc.runtime.sensors.telemetry import Reading


@dataclass(frozen=True)
class Device:
    """Sensor readings of the device while the network ran.

    Attributes:
        facts: Constant properties: board, power mode, driver, governor.
        unreadable: Quantity that cannot be read -> reason.
        busy_from_seconds: Start of the first sample of the first process, seconds on the clock of
            the readings.
        busy_to_seconds: End of the last sample, seconds on the clock of the readings.
        throttle_events: Cause -> number of times that clocks were throttled during the run; None
            where they are not counted.
        readings: Sensor readings, two per second, from before the model was loaded.
    """

    facts: dict[str, str]
    unreadable: dict[str, str]
    busy_from_seconds: float
    busy_to_seconds: float
    throttle_events: dict[str, int] | None
    readings: tuple[Reading, ...]
