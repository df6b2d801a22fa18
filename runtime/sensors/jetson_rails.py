"""The power rails of a Jetson, and which of them add up to the power of the board.

From sysfs, according to the Jetson Linux developer guide and the kernel's drivers:

    L4T 34 and later   INA3221: `in1_label`, `in1_input` mV, `curr1_input` mA, three channels
    Thor               also an INA238 for all that the carrier board draws: `power1_input` uW
    L4T 32             INA3221: `rail_name_0`, `in_power0_input` mW

Not yet tested on a board.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from vsrc.runtime.sensors.sensor import file_number, file_text

WHOLE_BOARD = ("VIN", "VDD_IN", "POM_5V_IN")
"""Rails for the total power, the most complete first; on a board without them rails are summed."""

_CONTAINED = {"VDDQ_VDD2_1V8AO": "VIN_SYS_5V0"}
"""Rail -> rail that feeds it: an AGX Orin's memory is supplied by its 5 V rail, which has a sensor
of its own."""

PowerReader = Callable[[], float | None]


def find_rails(root: Path = Path("/")) -> dict[str, PowerReader]:
    """Return power rail -> function that reads its watts.

    Args:
        root: Folder that contains `/sys`; another one in tests.
    """
    rails: dict[str, PowerReader] = {}
    for folder in sorted(root.glob("sys/bus/i2c/drivers/ina3221*/*/hwmon/hwmon*")):
        for channel in (1, 2, 3):  # 4 and on are shunt voltages
            name = file_text(folder / f"in{channel}_label")
            files = (folder / f"in{channel}_input", folder / f"curr{channel}_input")
            if name and name != "NC" and all(file_number(path) is not None for path in files):
                rails[name] = _volts_times_amperes(*files)
    for folder in sorted(root.glob("sys/bus/i2c/drivers/ina3221x/*/iio:device*")):
        for channel in (0, 1, 2):
            name = file_text(folder / f"rail_name_{channel}")
            path = folder / f"in_power{channel}_input"
            if name and file_number(path) is not None:
                rails[name] = _scaled(path, 1000)
    return rails | _supply(root)


def total_rails(rails: Collection[str]) -> tuple[str, ...]:
    """Return the rails whose sum is the power of the board, each watt counted once."""
    whole = tuple(name for name in WHOLE_BOARD if name in rails)[:1]
    return whole or tuple(name for name in rails if _CONTAINED.get(name) not in rails)


def _supply(root: Path) -> dict[str, PowerReader]:
    """The supply of the carrier board, which has no label."""
    for folder in sorted(root.glob("sys/bus/i2c/drivers/ina238*/*/hwmon/hwmon*")):
        if file_number(folder / "power1_input") is not None:
            return {"VIN": _scaled(folder / "power1_input", 1e6)}
        files = (folder / "in1_input", folder / "curr1_input")
        if all(file_number(path) is not None for path in files):
            return {"VIN": _volts_times_amperes(*files)}
    return {}


def _volts_times_amperes(millivolts: Path, milliamperes: Path) -> PowerReader:
    def watts() -> float | None:
        volts, amperes = file_number(millivolts), file_number(milliamperes)
        return None if volts is None or amperes is None else volts * amperes / 1e6

    return watts


def _scaled(path: Path, units_in_a_watt: float) -> PowerReader:
    def watts() -> float | None:
        value = file_number(path)
        return None if value is None else value / units_in_a_watt

    return watts
