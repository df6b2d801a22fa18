"""What a device says of itself while it works: watts, degrees, clocks, load, and why it slows down.

Every quantity is a mapping from the name of its source ("VDD_IN", "gpu-thermal") to a value. What
cannot be read is not there, and `Sensor.unreadable` says why: never a zero in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from vsrc.runtime.errors import VsrcError


class SensorLostError(VsrcError):
    """A sensor that answered before answers no more."""


@dataclass(frozen=True)
class SensorValues:
    """One look at a sensor.

    Attributes:
        watts: Power drawn now.
        joules: Energy drawn so far, from a counter; only differences mean something.
        celsius: Temperatures.
        mhz: Clocks.
        load: Share of the time that a unit was busy, in [0, 1].
        memory_bytes: Memory in use.
        throttle: Why clocks are lower than they could be; empty while nothing holds them down.
        throttle_counts: Times that clocks were held down since the machine started, by cause.
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
    """One source of readings."""

    @property
    def name(self) -> str:
        """Which one: "nvidia", "jetson", "cpu"."""

    @property
    def facts(self) -> Mapping[str, str]:
        """What does not change during a run: model, driver, power mode, ..."""

    @property
    def unreadable(self) -> Mapping[str, str]:
        """Quantity -> why it cannot be read."""

    @property
    def total(self) -> tuple[str, ...]:
        """Power or energy sources that together stand for all that this draws."""

    def read(self) -> SensorValues:
        """Look now.

        Raises:
            SensorLostError: It answers no more.
        """

    def close(self) -> None:
        """Let go of it."""


def file_text(path: Path) -> str | None:
    """Contents of a small file of the kernel, stripped; None where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def file_number(path: Path) -> float | None:
    """The number that a small file of the kernel holds; None where there is none."""
    text = file_text(path)
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def why_unreadable(path: Path) -> str:
    """In words, for a file that could not be read as a number."""
    if not path.exists():
        return f"{path} does not exist"
    try:
        path.read_bytes()
    except PermissionError:
        return f"{path} may only be read by root"
    except OSError as error:
        return f"{path}: {error.strerror}"
    return f"{path} holds no number"
