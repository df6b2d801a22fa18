"""The interface of sensors: power, temperatures, clocks, load and reasons of throttling.

Every quantity is a mapping from the name of its source ("VDD_IN", "gpu-thermal") to a value.
Quantities that cannot be read are missing, never zero, and `Sensor.unreadable` has the reasons.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from vsrc.runtime.errors import VsrcError


class SensorLostError(VsrcError):
    """A sensor that could be read before can no longer be read."""


@dataclass(frozen=True)
class SensorValues:
    """One reading of a sensor, by source.

    Attributes:
        watts: Current power, watts.
        joules: Energy counters, joules; only differences are meaningful.
        celsius: Temperatures, degrees Celsius.
        mhz: Clocks, MHz.
        load: Share of the time that a unit was busy, in [0, 1].
        memory_bytes: Memory in use, bytes.
        throttle: Causes by which clocks are throttled now; empty for none.
        throttle_counts: Cause -> number of throttling events since the machine started.
    """

    watts: Mapping[str, float] = field(default_factory=dict)
    joules: Mapping[str, float] = field(default_factory=dict)
    celsius: Mapping[str, float] = field(default_factory=dict)
    mhz: Mapping[str, float] = field(default_factory=dict)
    load: Mapping[str, float] = field(default_factory=dict)
    memory_bytes: Mapping[str, int] = field(default_factory=dict)
    throttle: tuple[str, ...] = ()
    throttle_counts: Mapping[str, int] = field(default_factory=dict)


class Sensor(Protocol):
    """A source of readings."""

    @property
    def name(self) -> str:
        """Name of the sensor: "nvidia", "jetson", "cpu"."""

    @property
    def facts(self) -> Mapping[str, str]:
        """Properties that are constant during a run: model, driver, power mode, ..."""

    @property
    def unreadable(self) -> Mapping[str, str]:
        """Quantity that cannot be read -> reason."""

    @property
    def total(self) -> tuple[str, ...]:
        """Power or energy sources whose sum is the total power of the device."""

    def read(self) -> SensorValues:
        """Read the current values.

        Raises:
            SensorLostError: It can no longer be read.
        """

    def close(self) -> None:
        """Release the sensor."""


def file_text(path: Path) -> str | None:
    """Return the contents of a sysfs or procfs file, stripped; None if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def file_number(path: Path) -> float | None:
    """Return the number in a sysfs or procfs file; None if there is none, or no finite one."""
    try:
        number = float(file_text(path) or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def why_unreadable(path: Path) -> str:
    """Explain why a file could not be read as a number."""
    if not path.exists():
        return f"{path} does not exist"
    try:
        path.read_bytes()
    except PermissionError:
        return f"{path} may only be read by root"
    except OSError as error:
        return f"{path}: {error.strerror}"
    return f"{path} contains no number"
