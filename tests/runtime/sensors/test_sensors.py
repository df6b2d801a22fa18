"""Sensors on trees of files made from the documents of the kernel, of Jetson Linux and of NVML.

None of these trees was copied from a board: what a real one adds is not known here.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from vsrc.runtime.machine import is_jetson
from vsrc.runtime.sensors.cpu import CpuSensor
from vsrc.runtime.sensors.jetson import JetsonSensor
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


AGX = {
    "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit",
    "etc/nv_tegra_release": "# R39 (release), REVISION: 2.0, GCID: 1, BOARD: generic",
    **{
        f"sys/bus/i2c/drivers/ina3221/1-00{address}/hwmon/hwmon{hwmon}/{name}": text
        for address, hwmon, channels in (
            (40, 3, {1: "VDD_GPU_SOC", 2: "VDD_CPU_CV", 3: "VIN_SYS_5V0"}),
            (41, 4, {1: "NC", 2: "VDDQ_VDD2_1V8AO", 3: "NC"}),
        )
        for channel, label in channels.items()
        for name, text in (
            (f"in{channel}_label", label),
            (f"in{channel}_input", "5000"),
            (f"curr{channel}_input", "1000"),
        )
    },
}
"""As an AGX Orin lists them, 5 W on each; the memory's are drawn from the 5 V rail."""

THOR_INA = "sys/bus/i2c/drivers/ina238/2-0044/hwmon/hwmon5"
THOR = {
    "proc/device-tree/compatible": "nvidia,p3971-0089+p3834-0008\0nvidia,tegra264\0",
    "etc/nv_tegra_release": "# R38 (release), REVISION: 2.0, GCID: 1, BOARD: generic",
    f"{INA}/in1_label": "VDD_GPU",
    f"{INA}/in1_input": "800",
    f"{INA}/curr1_input": "10000",
    f"{INA}/in2_label": "VDD_CPU_SOC_MSS",
    f"{INA}/in2_input": "800",
    f"{INA}/curr2_input": "5000",
    f"{THOR_INA}/name": "ina238",
    f"{THOR_INA}/in0_input": "3",
    f"{THOR_INA}/in1_input": "20000",
    f"{THOR_INA}/curr1_input": "2150",
    f"{THOR_INA}/power1_input": "43000000",  # uW
    "sys/class/devfreq/gpu-gpc-0/cur_freq": "1575000000",
}
"""As jetson-stats describes Thor's sensors (rbonghi/jetson_stats#900) and the kernel the INA238."""


def summed(sensor: JetsonSensor) -> float:
    watts = sensor.read().watts
    return sum(watts[name] for name in sensor.total)


def test_the_memory_of_an_agx_orin_is_counted_once(tmp_path: Path) -> None:
    sensor = JetsonSensor(tree(tmp_path, AGX), power_mode=lambda: "MAXN")
    assert len(sensor.read().watts) == 4  # all are shown
    assert summed(sensor) == pytest.approx(15)
    assert sensor.facts["l4t"] == "R39.2.0"
    assert sensor.facts["jetpack"] == "7"
    only = {name: text for name, text in AGX.items() if "VIN_SYS" not in text}
    alone = JetsonSensor(tree(tmp_path / "b", only), power_mode=lambda: "MAXN")
    assert "VDDQ_VDD2_1V8AO" in alone.total  # nothing else contains it there


def test_the_supply_of_a_thor_is_its_whole_power(tmp_path: Path) -> None:
    root = tree(tmp_path, THOR)
    assert is_jetson(root)
    sensor = JetsonSensor(root, power_mode=lambda: "MAXN")
    assert sensor.read().watts == pytest.approx({"VDD_GPU": 8, "VDD_CPU_SOC_MSS": 4, "VIN": 43})
    assert sensor.total == ("VIN",)
    assert sensor.read().mhz == {"gpu": 1575}
    (root / THOR_INA / "power1_input").unlink()
    without = JetsonSensor(root, power_mode=lambda: "MAXN")
    assert summed(without) == pytest.approx(43)


class OnThor:
    """NVML as on Thor: load and clocks, and no power."""

    NVMLError = pynvml.NVMLError

    def __init__(self, *, has_load: bool = True) -> None:
        self.has_load = has_load

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        if name.isupper():
            return getattr(pynvml, name)

        def answer(*_: object) -> Any:  # noqa: ANN401
            if name == "nvmlDeviceGetUtilizationRates" and self.has_load:
                return SimpleNamespace(gpu=64, memory=1)
            if name == "nvmlDeviceGetCount":
                return 1
            if name in ("nvmlInit", "nvmlShutdown", "nvmlDeviceGetHandleByIndex"):
                return None
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

        return answer


@pytest.mark.parametrize("has_load", [True, False])
def test_the_load_of_a_thor_comes_from_nvml_and_nothing_of_its_power(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_load: bool
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", OnThor(has_load=has_load))
    monkeypatch.setattr("vsrc.runtime.sensors.telemetry.open_jtop", lambda: "no service")
    sensors, _ = find_sensors(tree(tmp_path, THOR))
    telemetry = Telemetry(sensors)
    reading = telemetry.look()
    assert reading.load == ({"gpu": 0.64} if has_load else {})
    assert ("gpu load" in telemetry.unreadable) is not has_load
    assert telemetry.totals == ("VIN",)
    telemetry.stop()


def test_a_board_that_tells_nothing_says_why(tmp_path: Path) -> None:
    model = {"proc/device-tree/model": "NVIDIA Jetson Thor"}
    sensor = JetsonSensor(tree(tmp_path, model), power_mode=lambda: None)
    values = sensor.read()
    assert not any(vars(values).values())
    assert sensor.unreadable.keys() == {"power rails", "gpu clock", "gpu load", "power mode"}
    assert "ina3221 does not exist" in sensor.unreadable["power rails"]


def test_what_is_no_number_is_missing_and_the_rest_is_read(tmp_path: Path) -> None:
    odd = {
        f"{INA}/curr1_input": "nan",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "inf",
        "sys/class/thermal/thermal_zone0/temp": "1e999",
        "sys/class/hwmon/hwmon5/oc_total_event_cnt": "7",
        "sys/class/hwmon/hwmon5/oc3_event_cnt": "-nan",
    }
    root = tree(tmp_path, ORIN | odd)
    jetson, processor = JetsonSensor(root, power_mode=lambda: "15W").read(), CpuSensor(root).read()
    assert jetson.watts == pytest.approx({"VDD_CPU_GPU_CV": 2.495})
    assert "over-current 3" not in jetson.throttle_counts
    assert processor.mhz == {"cpu": 1190.4}
    assert processor.celsius.keys() == {"gpu-thermal"}


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
    # 0.32885 J are left to the counter's largest value; then it starts over and counts 2 J.
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
