"""Read power rails, GPU clock and load, power mode and over-current events of an NVIDIA Jetson.

From sysfs, according to the Jetson Linux developer guide; not yet tested on a board. The rails are
in `jetson_rails.py`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from vsrc.runtime.sensors.jetson_rails import find_rails, total_rails
from vsrc.runtime.sensors.sensor import (
    SensorLostError,
    SensorValues,
    file_number,
    file_text,
    why_unreadable,
)

_JETPACKS = {"R39": "7", "R38": "7", "R36": "6", "R35": "5", "R34": "5", "R32": "4"}
"""L4T release -> JetPack version that contains it."""


class JetsonSensor:
    """A Jetson board.

    Args:
        root: Folder that contains `/sys`, `/proc` and `/etc`; another one in tests.
        power_mode: Function that returns the power mode; by default it runs `nvpmodel -q`.
    """

    name = "jetson"

    def __init__(
        self, root: Path = Path("/"), power_mode: Callable[[], str | None] | None = None
    ) -> None:
        self._root = root
        self._rails = find_rails(root)
        self._gpu = _first(root, "sys/class/devfreq/*", r"gpu|gv11b|gp10b|ga10b|gm20b|gb10b")
        self._load = _first(root, "sys/devices/platform/**/load", r"gpu|gv11b|gp10b|ga10b|gm20b")
        self._currents = _over_current_files(root)
        self.total = total_rails(self._rails)
        mode = (power_mode or _nvpmodel)()
        self.facts = _facts(root, mode, self._gpu)
        self.unreadable = self._unreadable(mode)

    def read(self) -> SensorValues:
        """Read the current values."""
        watts = {name: value for name, rail in self._rails.items() if (value := rail()) is not None}
        if self._rails and not watts:
            raise SensorLostError("the power rails of the board can no longer be read")
        events = {name: file_number(path) for name, path in self._currents}
        return SensorValues(
            watts=watts,
            mhz=self._clock(),
            load=self._busy(),
            memory_bytes=_read_shared_memory(self._root),
            throttle_counts={
                name: round(count) for name, count in events.items() if count is not None
            },
        )

    def close(self) -> None:
        """Do nothing: no handle is open."""

    def _clock(self) -> dict[str, float]:
        hertz = None if self._gpu is None else file_number(self._gpu / "cur_freq")
        return {} if hertz is None else {"gpu": hertz / 1e6}

    def _busy(self) -> dict[str, float]:
        per_mille = None if self._load is None else file_number(self._load)
        return {} if per_mille is None else {"gpu": per_mille / 1000}

    def _unreadable(self, mode: str | None) -> Mapping[str, str]:
        missing = {}
        if not self._rails:
            missing["power rails"] = why_unreadable(self._root / "sys/bus/i2c/drivers/ina3221")
        if self._gpu is None:
            missing["gpu clock"] = f"no GPU under {self._root / 'sys/class/devfreq'}"
        if self._load is None:
            missing["gpu load"] = f"no load of a GPU under {self._root / 'sys/devices/platform'}"
        if mode is None:
            missing["power mode"] = "nvpmodel -q reported none"
        return missing


def _over_current_files(root: Path) -> list[tuple[str, Path]]:
    """Return the counters of over-current events, on which the board throttles its clocks."""
    files = []
    for path in sorted(root.glob("sys/class/hwmon/hwmon*/oc[0-9]*_event_cnt")):
        number = re.findall(r"\d+", path.name)[0]
        files.append((f"over-current {number}", path))
    return files


def _first(root: Path, pattern: str, names: str) -> Path | None:
    paths = (path for path in sorted(root.glob(pattern)) if re.search(names, str(path)))
    return next(paths, None)


def _read_shared_memory(root: Path) -> dict[str, int]:
    """Read the memory used by CPU and GPU together, which share it, bytes."""
    text = file_text(root / "proc/meminfo") or ""
    kilobytes = {key: int(size) for key, size in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
    if not {"MemTotal", "MemAvailable"} <= kilobytes.keys():
        return {}
    return {"shared": (kilobytes["MemTotal"] - kilobytes["MemAvailable"]) * 1024}


def _facts(root: Path, mode: str | None, gpu: Path | None) -> dict[str, str]:
    release = file_text(root / "etc/nv_tegra_release") or ""
    match = re.search(r"(R\d+).*?REVISION: ([\d.]+)", release)
    l4t = f"{match[1]}.{match[2]}" if match else ""
    clocks = [] if gpu is None else [file_number(gpu / f"{end}_freq") for end in ("min", "max")]
    range_mhz = "" if None in clocks or not clocks else _clock_range(*clocks)
    facts = {
        "board": file_text(root / "proc/device-tree/model") or "",
        "l4t": l4t,
        "jetpack": _JETPACKS.get(match[1], "") if match else "",
        "power mode": mode or "",
        "gpu clock range": range_mhz,
    }
    return {name: value for name, value in facts.items() if value}


def _clock_range(lowest: float | None, highest: float | None) -> str:
    assert lowest is not None
    assert highest is not None
    fixed = ", fixed" if lowest == highest else ""
    return f"{lowest / 1e6:.0f} to {highest / 1e6:.0f} MHz{fixed}"


def _nvpmodel() -> str | None:
    """Return name and number of the power mode from `nvpmodel -q`, in one line."""
    program = shutil.which("nvpmodel")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, "-q"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"NV Power Mode: *(.+)", done.stdout)
    return match[1].strip() if match else None
