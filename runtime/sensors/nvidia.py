"""Read power, clocks, temperature, memory and clock event reasons of NVIDIA GPUs by NVML."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from vsrc.runtime.installation import this_installation
from vsrc.runtime.sensors.sensor import SensorLostError, SensorValues

_REASONS = {
    "SwPowerCap": "power limit",
    "HwSlowdown": "hardware slowdown",
    "HwThermalSlowdown": "heat (hardware)",
    "SwThermalSlowdown": "heat",
    "HwPowerBrakeSlowdown": "power brake",
}
"""Clock event reasons that count as throttling; being idle or set by the user does not."""


def open_nvidia(index: int = 0) -> NvidiaSensor | str:
    """Return the sensor of the GPU, or the reason why there is none."""
    try:
        import pynvml
    except ImportError:
        line = this_installation().install("nvidia-ml-py").text
        return f"nvidia-ml-py is not installed; install it: {line}"
    try:
        pynvml.nvmlInit()
        return NvidiaSensor(pynvml, index)
    except pynvml.NVMLError as error:
        return f"NVML: {error}"


class NvidiaSensor:
    """One GPU of a desktop or server.

    Args:
        nvml: Module `pynvml`, initialised.
        index: Index of the GPU, as in nvidia-smi.
    """

    name = "nvidia"
    total: tuple[str, ...] = ("gpu",)

    def __init__(self, nvml: Any, index: int = 0) -> None:  # noqa: ANN401  it has no types
        self._nvml = nvml
        self._gpu = nvml.nvmlDeviceGetHandleByIndex(index)
        self.unreadable: dict[str, str] = {}
        self.facts = self._facts()
        self._readable = self._try_all()

    def read(self) -> SensorValues:
        """Read the current values."""
        questions = self._questions()
        try:
            values = {quantity: questions[quantity]() for quantity in self._readable}
        except self._nvml.NVMLError as error:
            raise SensorLostError(f"the GPU no longer responds: {error}") from error
        return SensorValues(
            watts={"gpu": values["power"]} if "power" in values else {},
            joules={"gpu": values["energy"]} if "energy" in values else {},
            celsius={"gpu": values["temperature"]} if "temperature" in values else {},
            mhz=values.get("clocks", {}),
            load={"gpu": values["load"]} if "load" in values else {},
            memory_bytes={"gpu": values["memory"]} if "memory" in values else {},
            throttle=values.get("clock events", ()),
        )

    def close(self) -> None:
        """Shut down NVML."""
        with contextlib.suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()

    def _questions(self) -> Mapping[str, Callable[[], Any]]:
        """Return quantity -> function that queries it, in the units of `SensorValues`."""
        nvml, gpu = self._nvml, self._gpu
        return {
            "power": lambda: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000,
            "energy": lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1000,
            "temperature": lambda: float(
                nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU)
            ),
            "clocks": lambda: {
                "gpu": float(nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM)),
                "gpu memory": float(nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_MEM)),
            },
            "load": lambda: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100,
            "memory": lambda: int(nvml.nvmlDeviceGetMemoryInfo(gpu).used),
            "clock events": lambda: self._reasons(),
        }

    def _reasons(self) -> tuple[str, ...]:
        nvml = self._nvml
        bits = nvml.nvmlDeviceGetCurrentClocksEventReasons(self._gpu)
        names = {f"nvmlClocksEventReason{name}": words for name, words in _REASONS.items()}
        return tuple(words for name, words in names.items() if bits & getattr(nvml, name, 0))

    def _try_all(self) -> tuple[str, ...]:
        """Query everything once; quantities that fail are not queried again."""
        readable = []
        for quantity, ask in self._questions().items():
            try:
                ask()
            except (self._nvml.NVMLError, AttributeError) as error:  # noqa: PERF203  seven in all
                self.unreadable[f"gpu {quantity}"] = f"NVML: {error}"
            else:
                readable.append(quantity)
        return tuple(readable)

    def _facts(self) -> dict[str, str]:
        nvml, gpu = self._nvml, self._gpu
        asked: dict[str, Callable[[], object]] = {
            "gpu": lambda: nvml.nvmlDeviceGetName(gpu),
            "driver": nvml.nvmlSystemGetDriverVersion,
            "compute capability": lambda: ".".join(
                map(str, nvml.nvmlDeviceGetCudaComputeCapability(gpu))
            ),
            "gpu power limit": lambda: (
                f"{nvml.nvmlDeviceGetPowerManagementLimit(gpu) / 1000:.0f} W"
            ),
        }
        facts = {}
        for name, ask in asked.items():
            with contextlib.suppress(nvml.NVMLError):
                facts[name] = str(ask())
        return facts
