"""Record the sensors of the device while a network runs on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from vsrc.runtime.machine import is_jetson
from vsrc.runtime.schema import Signed
from vsrc.runtime.sensors.cpu import CpuSensor
from vsrc.runtime.sensors.jetson import JetsonSensor
from vsrc.runtime.sensors.jtop import JtopSensor, open_jtop
from vsrc.runtime.sensors.nvidia import NvidiaSensor, open_nvidia
from vsrc.runtime.sensors.sensor import Sensor, SensorLostError, SensorValues

PERIOD_SECONDS = 0.5

T = TypeVar("T")


@dataclass(frozen=True)
class Reading:
    """Values of all sensors at one time; quantities that were not read are missing.

    Attributes:
        seconds: Time since recording began, seconds.
        watts: Power by source, watts.
        celsius: Temperature by zone, degrees Celsius.
        mhz: Clock by unit, MHz.
        load: Share of the time that a unit was busy, in [0, 1].
        memory_bytes: Memory in use, bytes.
        joules: Energy counters, joules; only differences are meaningful.
        throttle: Causes by which clocks are throttled at this time.
        throttle_counts: Cause -> number of throttling events since the machine started.
    """

    seconds: float
    watts: dict[str, float] = field(default_factory=dict)
    celsius: dict[str, Signed] = field(default_factory=dict)
    mhz: dict[str, float] = field(default_factory=dict)
    load: dict[str, float] = field(default_factory=dict)
    memory_bytes: dict[str, int] = field(default_factory=dict)
    joules: dict[str, float] = field(default_factory=dict)
    throttle: tuple[str, ...] = ()
    throttle_counts: dict[str, int] = field(default_factory=dict)


def find_sensors(root: Path = Path("/"), *, device: int = 0) -> tuple[list[Sensor], dict[str, str]]:
    """Return all sensors of this machine, and sensor -> reason for those that are missing.

    Args:
        root: Folder that contains `/sys`, `/proc` and `/etc`; another one in tests.
        device: Index of the CUDA device whose sensors are read.
    """
    sensors: list[Sensor] = [CpuSensor(root)]
    if is_jetson(root):
        found, missing = _jetson_sensors(root, device)
        return [*sensors, *found], missing
    gpu = open_nvidia(device)
    if isinstance(gpu, NvidiaSensor):
        return [*sensors, gpu], {}
    return sensors, {"gpu": gpu}


def _jetson_sensors(root: Path, device: int) -> tuple[list[Sensor], dict[str, str]]:
    """Sysfs, then jetson-stats and NVML for what sysfs does not provide."""
    jetson, missing = JetsonSensor(root), {}
    sensors: list[Sensor] = [jetson]
    board = open_jtop()
    if isinstance(board, str):
        missing["jetson-stats"] = board
    else:
        beside = JtopSensor(board, wanted=tuple(jetson.unreadable))
        sensors.append(beside)
        jetson.unreadable = _without(jetson.unreadable, beside.gives)
    # The load of Thor's GPU is in NVML alone; that of Orin's answers nothing.
    wanted = [each for each, name in _OF_NVML.items() if name in jetson.unreadable]
    gpu = open_nvidia(device, wanted=wanted) if wanted else ""
    if isinstance(gpu, NvidiaSensor) and gpu.gives:
        sensors.append(gpu)
        jetson.unreadable = _without(jetson.unreadable, [_OF_NVML[each] for each in gpu.gives])
    elif isinstance(gpu, NvidiaSensor):
        gpu.close()
    elif gpu:
        reasons = {_OF_NVML[each]: gpu for each in wanted}
        jetson.unreadable = {
            name: "; ".join(filter(None, [why, reasons.get(name, "")]))
            for name, why in jetson.unreadable.items()
        }
    return sensors, missing


_OF_NVML = {"load": "gpu load", "clocks": "gpu clock"}
"""Quantity of NVML -> that of a Jetson."""


def _without(unreadable: Mapping[str, str], given: Collection[str]) -> dict[str, str]:
    return {name: why for name, why in unreadable.items() if name not in given}


class Telemetry:
    """Reads sensors periodically in a thread, from `start` to `stop`.

    Args:
        sensors: Sensors to read.
        missing: Missing sensor -> reason.
        period_seconds: Time from one reading to the next, seconds.
        clock: Function that returns seconds; the clock of the measurements.

    Attributes:
        began: Start of the recording on that clock, seconds.
        readings: Readings in the order taken.
        facts: Constant properties of the device.
        unreadable: Quantity that cannot be read -> reason.
        totals: Power sources whose sum is the total power.
    """

    def __init__(
        self,
        sensors: Iterable[Sensor],
        missing: Mapping[str, str] | None = None,
        *,
        period_seconds: float = PERIOD_SECONDS,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._sensors = list(sensors)
        self._period, self._clock = period_seconds, clock
        self.began = clock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="vsrc-telemetry", daemon=True)
        self.readings: list[Reading] = []
        self.facts = {name: text for sensor in self._sensors for name, text in sensor.facts.items()}
        self.unreadable = dict(missing or {})
        for sensor in self._sensors:
            self.unreadable |= sensor.unreadable
        self.totals = tuple(name for sensor in self._sensors for name in sensor.total)

    def start(self) -> None:
        """Start recording."""
        self._thread.start()

    def stop(self) -> None:
        """Take a last reading and close the sensors."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self.look()
        for sensor in self._sensors:
            sensor.close()

    def now(self) -> float:
        """Return the seconds since recording began."""
        return self._clock() - self.began

    def look(self) -> Reading:
        """Read every sensor now; one that fails is not read again."""
        seconds, values = self.now(), []
        for sensor in list(self._sensors):
            try:
                values.append(sensor.read())
            except (SensorLostError, OSError) as error:  # noqa: PERF203  two or three in all
                self._sensors.remove(sensor)
                sensor.close()
                self.unreadable[sensor.name] = f"lost after {seconds:.0f} s: {error}"
        reading = _join(seconds, values)
        self.readings.append(reading)
        return reading

    def _watch(self) -> None:
        while not self._stopping.wait(self._period):
            self.look()


def _join(seconds: float, values: Sequence[SensorValues]) -> Reading:
    names = ("watts", "celsius", "mhz", "load", "memory_bytes", "joules", "throttle_counts")
    merged = {
        name: {k: v for looked in values for k, v in getattr(looked, name).items()}
        for name in names
    }
    throttle = tuple(reason for looked in values for reason in looked.throttle)
    return Reading(seconds=seconds, throttle=throttle, **merged)
