"""Read a Jetson through the service of jetson-stats, where it runs, in addition to sysfs.

The service reads as root and supports every board, so it replaces what sysfs does not provide, and
adds the load of the memory bus and whether the clocks are locked. Names and units follow its
documentation (mW, kHz, per cent); errors are tested with the library, values not yet on a board.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from vsrc.runtime.installation import this_installation
from vsrc.runtime.sensors.sensor import SensorLostError, SensorValues

SOCKET = Path("/run/jtop.sock")
"""Socket of the service."""

_REFRESH_SECONDS = 0.5


def open_jtop() -> Any | str:  # noqa: ANN401  a client of jetson-stats, which has no types
    """Return the started client, or the reason why there is none."""
    if not SOCKET.exists():  # the library starts threads before it checks
        return f"its service does not run ({SOCKET} is missing): sudo jtop --install-service"
    try:
        from jtop import JtopException, jtop
    except ImportError as error:
        line = this_installation().install_freely("jetson-stats").text
        return f"{error}; install it, in the version of its service: {line}"
    board = jtop(interval=_REFRESH_SECONDS)
    try:
        board.start()
    except (JtopException, OSError, EOFError) as error:
        return " ".join(str(error).split())
    return board


class JtopSensor:
    """The service of jetson-stats.

    Args:
        board: Started client of the service.
        wanted: Quantities to read, those of "power rails", "gpu clock", "gpu load" and "power
            mode" that sysfs does not provide.

    Attributes:
        gives: Wanted quantities that the service provides.
    """

    name = "jetson-stats"

    def __init__(self, board: Any, wanted: Collection[str]) -> None:  # noqa: ANN401  as above
        self._board = board
        self._wanted = wanted
        first = self.read()
        self.facts = dict(self._facts())
        readable = {
            "power rails": bool(first.watts),
            "gpu clock": bool(first.mhz),
            "gpu load": "gpu" in first.load,
            "power mode": "power mode" in self.facts,
        }
        self.gives = tuple(name for name, is_there in readable.items() if is_there)
        self.total = tuple(first.watts)
        self.unreadable: Mapping[str, str] = {}

    def read(self) -> SensorValues:
        """Read the current values."""
        try:
            is_alive = self._board.ok(spin=True)
        except Exception as error:  # it re-raises any exception of its reading thread
            raise SensorLostError(f"jetson-stats no longer responds: {error}") from error
        if not is_alive:
            raise SensorLostError("jetson-stats no longer responds")
        return SensorValues(watts=self._watts(), mhz=dict(self._clock()), load=dict(self._load()))

    def close(self) -> None:
        """Disconnect from the service."""
        self._board.close()

    def _watts(self) -> dict[str, float]:
        """Return the total power of the board, as a sum of rails or from the rail for the total."""
        milliwatts = self._board.power.get("tot", {}).get("power")
        if "power rails" not in self._wanted or milliwatts is None:
            return {}
        return {"board": milliwatts / 1000}

    def _clock(self) -> Iterator[tuple[str, float]]:
        for gpu in self._gpus():
            kilohertz = gpu.get("freq", {}).get("cur")
            if "gpu clock" in self._wanted and kilohertz is not None:
                yield "gpu", kilohertz / 1000

    def _load(self) -> Iterator[tuple[str, float]]:
        for gpu in self._gpus():
            percent = gpu.get("status", {}).get("load")
            if "gpu load" in self._wanted and percent is not None:
                yield "gpu", percent / 100
        bus = self._board.memory.get("EMC", {})
        if bus.get("online", True) and "val" in bus:
            yield "memory bus", bus["val"] / 100

    def _gpus(self) -> list[Mapping[str, Any]]:
        """Return the integrated GPU; a discrete one is read by NVML."""
        gpus = [gpu for gpu in self._board.gpu.values() if gpu.get("type") != "discrete"]
        return gpus[:1]

    def _facts(self) -> Iterator[tuple[str, str]]:
        if "power mode" in self._wanted and self._board.nvpmodel is not None:
            yield "power mode", str(self._board.nvpmodel)
        if self._board.jetson_clocks is not None:
            yield "jetson_clocks", "on" if self._board.jetson_clocks else "off"
