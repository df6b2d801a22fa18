"""Read clocks, temperatures, energy and throttling of the processor from Linux's sysfs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vsrc.runtime.sensors.sensor import SensorValues, file_number, file_text, why_unreadable

_CPU = "sys/devices/system/cpu"


class CpuSensor:
    """The processor.

    Args:
        root: Folder that contains `/sys`; another one in tests.
    """

    name = "cpu"

    def __init__(self, root: Path = Path("/")) -> None:
        cpus = sorted((root / _CPU).glob("cpu[0-9]*"))
        self._clocks = [path / "cpufreq/scaling_cur_freq" for path in cpus]
        self._clocks = [path for path in self._clocks if file_number(path) is not None]
        self._zones = thermal_zones(root)
        self._energies = _energy_files(root)
        self._throttles = list((root / _CPU).glob("cpu*/thermal_throttle/package_throttle_count"))
        self.facts = _facts(root)
        self.unreadable = self._unreadable(root)
        self.total = tuple(name for name, _, _ in self._energies)
        self._wraps = dict.fromkeys(self.total, 0.0)
        self._last: dict[str, float] = {}

    def read(self) -> SensorValues:
        """Read the current values."""
        clocks = [mhz for path in self._clocks if (mhz := file_number(path)) is not None]
        counts = [count for path in self._throttles if (count := file_number(path)) is not None]
        return SensorValues(
            joules=self._joules(),
            celsius=zone_values(self._zones),
            mhz={"cpu": sum(clocks) / len(clocks) / 1000} if clocks else {},
            # The cores of a package have the same count.
            throttle_counts={"cpu heat": round(max(counts))} if counts else {},
        )

    def close(self) -> None:
        """Do nothing: no handle is open."""

    def _joules(self) -> dict[str, float]:
        joules = {}
        for name, path, largest in self._energies:
            if (micro := file_number(path)) is None:
                continue
            if micro < self._last.get(name, 0.0):  # the counter wraps at its largest value
                self._wraps[name] += largest
            self._last[name] = micro
            joules[name] = (micro + self._wraps[name]) / 1e6
        return joules

    def _unreadable(self, root: Path) -> Mapping[str, str]:
        clock = root / _CPU / "cpu0/cpufreq/scaling_cur_freq"
        energy = root / "sys/class/powercap/intel-rapl:0/energy_uj"
        missing = {}
        if not self._clocks:
            missing["cpu clock"] = why_unreadable(clock)
        if not self._zones:
            missing["temperature"] = f"{root / 'sys/class/thermal'} has no zone with a value"
        if not self._energies:
            missing["cpu energy"] = why_unreadable(energy)
        if not self._throttles:
            pattern = root / _CPU / "cpu0/thermal_throttle/package_throttle_count"
            missing["cpu throttling"] = why_unreadable(pattern)
        return missing


def thermal_zones(root: Path) -> list[tuple[str, Path]]:
    """Return name and file of each readable thermal zone; equal names are numbered."""
    zones: dict[str, Path] = {}
    for folder in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        kind = file_text(folder / "type") or folder.name
        if file_number(folder / "temp") is None:
            continue  # reading a zone whose unit is switched off fails
        name = kind if kind not in zones else f"{kind} {folder.name.removeprefix('thermal_zone')}"
        zones[name] = folder / "temp"
    return list(zones.items())


def zone_values(zones: list[tuple[str, Path]]) -> dict[str, float]:
    """Return the temperature of each zone that is readable now, degrees Celsius."""
    values = ((name, file_number(path)) for name, path in zones)
    return {name: value / 1000 for name, value in values if value is not None}


def _energy_files(root: Path) -> list[tuple[str, Path, float]]:
    """Return name, file and largest value, microjoules, of each package's energy counter."""
    files = []
    for folder in sorted((root / "sys/class/powercap").glob("intel-rapl:[0-9]")):
        largest = file_number(folder / "max_energy_range_uj")
        if largest is not None and file_number(folder / "energy_uj") is not None:
            name = f"rapl {file_text(folder / 'name') or folder.name}"
            files.append((name, folder / "energy_uj", largest))
    return files


def _facts(root: Path) -> dict[str, str]:
    governors = {file_text(path) for path in (root / _CPU).glob("cpu*/cpufreq/scaling_governor")}
    facts = {"cpu governor": ", ".join(sorted(filter(None, governors)))}
    largest = file_number(root / _CPU / "cpu0/cpufreq/cpuinfo_max_freq")
    if largest is not None:
        facts["cpu highest clock"] = f"{largest / 1000:.0f} MHz"
    return {name: value for name, value in facts.items() if value}
