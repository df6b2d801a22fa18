"""What jetson-stats says of a Jetson, where its service runs: beside sysfs, which needs no service.

It reads as root and knows every board, so it stands in for what sysfs did not tell here, and adds
the load of the memory bus and whether the clocks are held. Names and units as its documents have
them (mW, kHz, per cent); its errors are tested with the library, its values not yet on a board.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from vsrc.runtime.installation import this_installation
from vsrc.runtime.sensors.sensor import SensorLostError, SensorValues

SOCKET = Path("/run/jtop.sock")
"""Where the service listens."""

_REFRESH_SECONDS = 0.5


def open_jtop() -> Any | str:  # noqa: ANN401  a client of jetson-stats, which has no types
    """The client, started; or why there is none."""
    if not SOCKET.exists():  # the library starts threads before it finds out
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
        board: Its client, started.
        wanted: Which of "power rails", "gpu clock", "gpu load" and "power mode" are asked for:
            those that sysfs does not tell.

    Attributes:
        gives: Those of them that it tells.
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
        """Look now."""
        try:
            is_alive = self._board.ok(spin=True)
        except Exception as error:  # it raises what its reading thread met, whatever that was
            raise SensorLostError(f"jetson-stats answers no more: {error}") from error
        if not is_alive:
            raise SensorLostError("jetson-stats answers no more")
        return SensorValues(watts=self._watts(), mhz=dict(self._clock()), load=dict(self._load()))

    def close(self) -> None:
        """Leave the service."""
        self._board.close()

    def _watts(self) -> dict[str, float]:
        """One number for the board: it adds the rails up, or takes the one that carries all."""
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
        """The GPU of the chip; a card beside it is read by NVML."""
        gpus = [gpu for gpu in self._board.gpu.values() if gpu.get("type") != "discrete"]
        return gpus[:1]

    def _facts(self) -> Iterator[tuple[str, str]]:
        if "power mode" in self._wanted and self._board.nvpmodel is not None:
            yield "power mode", str(self._board.nvpmodel)
        if self._board.jetson_clocks is not None:
            yield "jetson_clocks", "on" if self._board.jetson_clocks else "off"
