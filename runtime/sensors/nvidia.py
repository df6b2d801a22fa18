"""Read power, clocks, temperature, memory and clock event reasons of NVIDIA GPUs by NVML."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from vsrc.runtime.errors import VsrcError
from vsrc.runtime.installation import this_installation
from vsrc.runtime.sensors.cuda_device import find_device
from vsrc.runtime.sensors.sensor import SensorLostError, SensorValues

_REASONS = {
    "SwPowerCap": "power limit",
    "HwSlowdown": "hardware slowdown",
    "HwThermalSlowdown": "heat (hardware)",
    "SwThermalSlowdown": "heat",
    "HwPowerBrakeSlowdown": "power brake",
}
"""Clock event reasons that count as throttling; being idle or set by the user does not."""


_DRIVER = Path("/proc/driver/nvidia")
"""Folder that the driver has under Linux."""


def open_nvidia(device: int = 0, *, wanted: Collection[str] | None = None) -> NvidiaSensor | str:
    """Return the sensor of a GPU, or the reason why there is none.

    NVML counts all GPUs of the machine in its own order, CUDA those that CUDA_VISIBLE_DEVICES
    leaves, the fastest first: they are matched by UUID.

    Args:
        device: Index of the CUDA device.
        wanted: Quantities to read, as in `NvidiaSensor`.
    """
    try:
        import pynvml
    except ImportError:
        if shutil.which("nvidia-smi") is None and not _DRIVER.exists():
            return "there is no NVIDIA driver"
        line = this_installation().install("nvidia-ml-py").text
        return f"nvidia-ml-py is not installed; install it: {line}"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return f"NVML: {error}"
    try:
        return NvidiaSensor(pynvml, _find(pynvml, device), wanted=wanted)
    except (pynvml.NVMLError, VsrcError, ValueError) as error:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()
        return f"NVML: {error}"


def _find(nvml: Any, device: int) -> Any:  # noqa: ANN401  a handle; NVML has no types
    """Find the GPU of a CUDA device.

    Raises:
        NVMLError: NVML does not know it.
        VsrcError: CUDA cannot tell which it is, and there are several.
        ValueError: There is no such device.
    """
    try:
        identifier = find_device(device).uuid
    except VsrcError:
        if device == 0 and nvml.nvmlDeviceGetCount() == 1:
            return nvml.nvmlDeviceGetHandleByIndex(0)  # there is no other
        raise
    return nvml.nvmlDeviceGetHandleByUUID(identifier)


class NvidiaSensor:
    """One GPU of a desktop or server; on a Jetson, what its sysfs does not provide.

    Args:
        nvml: Module `pynvml`, initialised.
        gpu: Handle of the GPU.
        wanted: Quantities to read; None for all. Power of a Jetson's GPU is part of its rails.

    Attributes:
        gives: Quantities that NVML provides.
    """

    name = "nvidia"

    def __init__(
        self,
        nvml: Any,  # noqa: ANN401  it has no types
        gpu: Any,  # noqa: ANN401
        *,
        wanted: Collection[str] | None = None,
    ) -> None:
        self._nvml, self._gpu, self._wanted = nvml, gpu, wanted
        self.unreadable: dict[str, str] = {}
        self.facts = self._facts()
        self.gives = self._readable = self._try_all()
        self.total: tuple[str, ...] = ("gpu",) if wanted is None else ()

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
            if self._wanted is not None and quantity not in self._wanted:
                continue
            try:
                ask()
            except (self._nvml.NVMLError, AttributeError) as error:
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
