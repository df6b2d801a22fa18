"""The sensor of an NVIDIA GPU: its Python module is real, the answers follow NVML's documents."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from vsrc.runtime.sensors.nvidia import NvidiaSensor, open_nvidia
from vsrc.runtime.sensors.telemetry import Telemetry


class Card:
    """The functions of `pynvml` that are asked, for one GPU."""

    NVMLError = pynvml.NVMLError
    NVML_TEMPERATURE_GPU = pynvml.NVML_TEMPERATURE_GPU
    NVML_CLOCK_SM = pynvml.NVML_CLOCK_SM
    NVML_CLOCK_MEM = pynvml.NVML_CLOCK_MEM

    def __init__(self, *, gone: bool = False, no_energy: bool = False, reasons: int = 0) -> None:
        self.gone, self.no_energy, self.reasons = gone, no_energy, reasons

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        if name.startswith("nvmlClocksEventReason"):
            return getattr(pynvml, name)
        answers: dict[str, object] = {
            "nvmlDeviceGetHandleByIndex": object(),
            "nvmlDeviceGetPowerUsage": 71_500,  # mW
            "nvmlDeviceGetTotalEnergyConsumption": 123_000,  # mJ
            "nvmlDeviceGetTemperature": 54,
            "nvmlDeviceGetClockInfo": 1980,
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=97, memory=20),
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=2_000_000_000),
            "nvmlDeviceGetCurrentClocksEventReasons": self.reasons,
            "nvmlDeviceGetName": "NVIDIA H200",
            "nvmlSystemGetDriverVersion": "580.65",
            "nvmlDeviceGetCudaComputeCapability": (9, 0),
            "nvmlDeviceGetPowerManagementLimit": 700_000,
            "nvmlShutdown": None,
        }
        assert hasattr(pynvml, name)

        def ask(*_: object) -> object:
            if self.gone:
                raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
            if self.no_energy and name == "nvmlDeviceGetTotalEnergyConsumption":
                raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
            return answers[name]

        return ask


def test_a_gpu_tells_its_power_in_watts_and_why_it_is_slow() -> None:
    heat = pynvml.nvmlClocksEventReasonSwThermalSlowdown
    sensor = NvidiaSensor(Card(reasons=heat | pynvml.nvmlClocksEventReasonGpuIdle), object())
    values = sensor.read()
    assert values.watts == {"gpu": 71.5}
    assert values.joules == {"gpu": 123.0}
    assert values.celsius == {"gpu": 54.0}
    assert values.mhz == {"gpu": 1980.0, "gpu memory": 1980.0}
    assert values.load == {"gpu": 0.97}
    assert values.memory_bytes == {"gpu": 2_000_000_000}
    assert values.throttle == ("heat",)
    assert sensor.facts["gpu"] == "NVIDIA H200"
    assert sensor.facts["compute capability"] == "9.0"
    assert sensor.facts["gpu power limit"] == "700 W"
    assert sensor.unreadable == {}


def test_what_a_card_does_not_tell_is_not_there_and_has_a_reason() -> None:
    sensor = NvidiaSensor(Card(no_energy=True), object())
    assert sensor.read().joules == {}
    assert sensor.read().watts == {"gpu": 71.5}
    assert sensor.unreadable == {"gpu energy": "NVML: Not Supported"}


def test_a_gpu_that_is_lost_in_the_middle_is_noticed() -> None:
    card = Card()
    sensor = NvidiaSensor(card, object())
    telemetry = Telemetry([sensor])
    telemetry.look()
    card.gone = True
    assert telemetry.look().watts == {}
    assert "the GPU no longer responds: GPU is lost" in telemetry.unreadable["nvidia"]


def test_without_a_driver_the_reason_is_told() -> None:
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        found = open_nvidia()
        assert isinstance(found, str)
        assert found.startswith("NVML: ")
    else:
        pynvml.nvmlShutdown()
        pytest.skip("this machine has an NVIDIA driver")
