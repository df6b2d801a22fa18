"""Sensors on trees of files made from the documents of the kernel, of Jetson Linux and of NVML.

None of these trees was copied from a board: what a real one adds is not known here.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from vsrc.runtime.machine import is_jetson
from vsrc.runtime.sensors.cpu import CpuSensor
from vsrc.runtime.sensors.jetson import JetsonSensor
from vsrc.runtime.sensors.nvidia import NvidiaSensor, open_nvidia
from vsrc.runtime.sensors.sensor import SensorLostError, why_unreadable
from vsrc.runtime.sensors.telemetry import Telemetry, find_sensors

INA = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"

ORIN = {
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic",
    "proc/meminfo": "MemTotal:        7800000 kB\nMemFree: 100 kB\nMemAvailable:    5800000 kB\n",
    f"{INA}/in1_label": "VDD_IN",
    f"{INA}/in1_input": "5000",  # mV
    f"{INA}/curr1_input": "1400",  # mA
    f"{INA}/in2_label": "VDD_CPU_GPU_CV",
    f"{INA}/in2_input": "4990",
    f"{INA}/curr2_input": "500",
    f"{INA}/in3_label": "NC",
    f"{INA}/in3_input": "0",
    f"{INA}/curr3_input": "0",
    f"{INA}/in7_label": "sum of shunt voltages",
    f"{INA}/in7_input": "12345",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
    "sys/class/thermal/thermal_zone0/temp": "47500",
    "sys/class/thermal/thermal_zone1/type": "gpu-thermal",
    "sys/class/thermal/thermal_zone1/temp": "46000",
    "sys/class/devfreq/17000000.gpu/cur_freq": "624750000",
    "sys/class/devfreq/17000000.gpu/min_freq": "306000000",
    "sys/class/devfreq/17000000.gpu/max_freq": "624750000",
    "sys/class/devfreq/15340000.vic/cur_freq": "1",
    "sys/devices/platform/bus@0/17000000.gpu/load": "873",  # per mille
    "sys/class/hwmon/hwmon5/oc1_event_cnt": "2",
    "sys/class/hwmon/hwmon5/oc3_event_cnt": "0",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1510400",  # kHz
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "1190400",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil",
    "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "1510400",
}
NANO = {
    "proc/device-tree/model": "NVIDIA Jetson Nano Developer Kit\0",
    "etc/nv_tegra_release": "# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref",
    "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/rail_name_0": "POM_5V_IN",
    "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/in_power0_input": "2455",  # mW
    "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/rail_name_1": "POM_5V_GPU",
    "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/in_power1_input": "164",
    "sys/class/devfreq/57000000.gpu/cur_freq": "76800000",
}
DESKTOP = {
    "sys/class/powercap/intel-rapl:0/name": "package-0",
    "sys/class/powercap/intel-rapl:0/energy_uj": "262143000000",
    "sys/class/powercap/intel-rapl:0/max_energy_range_uj": "262143328850",
    "sys/class/powercap/intel-rapl:0:0/name": "core",
    "sys/class/powercap/intel-rapl:0:0/energy_uj": "5",
    "sys/class/powercap/intel-rapl:0:0/max_energy_range_uj": "262143328850",
    "sys/class/thermal/thermal_zone0/type": "x86_pkg_temp",
    "sys/class/thermal/thermal_zone0/temp": "61000",
    "sys/class/thermal/thermal_zone1/type": "acpitz",
    "sys/class/thermal/thermal_zone1/temp": "27800",
    "sys/class/thermal/thermal_zone2/type": "acpitz",
    "sys/class/thermal/thermal_zone2/temp": "29800",
    "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count": "3",
    "sys/devices/system/cpu/cpu1/thermal_throttle/package_throttle_count": "3",
}


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


def test_an_orin_tells_its_rails_clocks_load_and_memory(tmp_path: Path) -> None:
    root = tree(tmp_path, ORIN)
    assert is_jetson(root)
    sensor = JetsonSensor(root, power_mode=lambda: "15W")
    values = sensor.read()
    assert values.watts == pytest.approx({"VDD_IN": 7.0, "VDD_CPU_GPU_CV": 2.495})
    assert values.mhz == {"gpu": 624.75}
    assert values.load == {"gpu": 0.873}
    assert values.memory_bytes == {"shared": 2_000_000 * 1024}
    assert values.throttle_counts == {"over-current 1": 2, "over-current 3": 0}
    assert sensor.total == ("VDD_IN",)
    assert sensor.unreadable == {}
    assert sensor.facts == {
        "board": "NVIDIA Jetson Orin Nano Developer Kit",
        "l4t": "R36.4.3",
        "jetpack": "6",
        "power mode": "15W",
        "gpu clock range": "306 to 625 MHz",
    }


def test_the_rails_of_an_old_nano_are_found(tmp_path: Path) -> None:
    sensor = JetsonSensor(tree(tmp_path, NANO), power_mode=lambda: None)
    assert sensor.read().watts == pytest.approx({"POM_5V_IN": 2.455, "POM_5V_GPU": 0.164})
    assert sensor.total == ("POM_5V_IN",)
    assert sensor.unreadable.keys() == {"gpu load", "power mode"}


def test_without_a_rail_for_the_board_all_rails_count(tmp_path: Path) -> None:
    files = {**ORIN, f"{INA}/in1_label": "VDD_GPU_SOC"}
    sensor = JetsonSensor(tree(tmp_path, files), power_mode=lambda: "MAXN")
    assert sensor.total == ("VDD_GPU_SOC", "VDD_CPU_GPU_CV")


def test_a_board_that_tells_nothing_says_why(tmp_path: Path) -> None:
    model = {"proc/device-tree/model": "NVIDIA Jetson Thor"}
    sensor = JetsonSensor(tree(tmp_path, model), power_mode=lambda: None)
    values = sensor.read()
    assert not any(vars(values).values())
    assert sensor.unreadable.keys() == {"power rails", "gpu clock", "gpu load", "power mode"}
    assert "ina3221 does not exist" in sensor.unreadable["power rails"]


def test_a_board_whose_rails_go_away_is_lost_and_the_rest_goes_on(tmp_path: Path) -> None:
    root = tree(tmp_path, ORIN)
    jetson = JetsonSensor(root, power_mode=lambda: "15W")
    telemetry = Telemetry([CpuSensor(root), jetson])
    assert telemetry.look().watts["VDD_IN"] == 7.0
    for path in (root / INA).glob("*_input"):
        path.unlink()
    with pytest.raises(SensorLostError, match="rails"):
        jetson.read()
    reading = telemetry.look()
    assert reading.watts == {}
    assert reading.celsius == {"cpu-thermal": 47.5, "gpu-thermal": 46.0}
    assert "lost after 0 s: the power rails" in telemetry.unreadable["jetson"]


def test_the_processor_tells_clock_and_governor(tmp_path: Path) -> None:
    sensor = CpuSensor(tree(tmp_path, ORIN))
    assert sensor.read().mhz == {"cpu": 1350.4}
    assert sensor.facts == {"cpu governor": "schedutil", "cpu highest clock": "1510 MHz"}
    assert sensor.unreadable.keys() == {"cpu energy", "cpu throttling"}


def test_a_desktop_tells_energy_over_the_end_of_its_counter(tmp_path: Path) -> None:
    root = tree(tmp_path, DESKTOP)
    sensor = CpuSensor(root)
    assert sensor.total == ("rapl package-0",)
    before = sensor.read()
    # 0.32885 J are left to the counter's largest value; then it starts anew and counts 2 J.
    (root / "sys/class/powercap/intel-rapl:0/energy_uj").write_text("2000000\n")
    after = sensor.read()
    used = after.joules["rapl package-0"] - before.joules["rapl package-0"]
    assert used == pytest.approx(2.32885)
    assert before.celsius == {"x86_pkg_temp": 61.0, "acpitz": 27.8, "acpitz 2": 29.8}
    assert before.throttle_counts == {"cpu heat": 3}


def test_why_a_file_cannot_be_read(tmp_path: Path) -> None:
    assert why_unreadable(tmp_path / "none").endswith("does not exist")
    (tmp_path / "words").write_text("words")
    assert "number" in why_unreadable(tmp_path / "words")
    assert "directory" in why_unreadable(tmp_path).lower()


def test_an_empty_machine_has_a_reason_for_everything(tmp_path: Path) -> None:
    sensor = CpuSensor(tmp_path)
    assert not any(vars(sensor.read()).values())
    wanted = {"cpu clock", "temperature", "cpu energy", "cpu throttling"}
    assert sensor.unreadable.keys() == wanted


def test_this_machine_is_read_without_an_error() -> None:
    sensors, missing = find_sensors()
    telemetry = Telemetry(sensors, missing, period_seconds=0.02)
    telemetry.start()
    while len(telemetry.readings) < 3:
        pass
    telemetry.stop()
    times = [reading.seconds for reading in telemetry.readings]
    assert times == sorted(times)
    assert all(why.strip() for why in telemetry.unreadable.values())


# --- NVML: its Python module is real, its answers are made from the documents of its functions ----


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
    sensor = NvidiaSensor(Card(reasons=heat | pynvml.nvmlClocksEventReasonGpuIdle))
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
    sensor = NvidiaSensor(Card(no_energy=True))
    assert sensor.read().joules == {}
    assert sensor.read().watts == {"gpu": 71.5}
    assert sensor.unreadable == {"gpu energy": "NVML: Not Supported"}


def test_a_gpu_that_is_lost_in_the_middle_is_noticed() -> None:
    card = Card()
    sensor = NvidiaSensor(card)
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
