"""jetson-stats beside sysfs: values from its documents, and what the library really says here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vsrc.runtime.sensors import telemetry
from vsrc.runtime.sensors.jtop import SOCKET, JtopSensor, open_jtop
from vsrc.runtime.sensors.sensor import SensorLostError
from vsrc.runtime.sensors.telemetry import Telemetry, find_sensors

ALL = ("power rails", "gpu clock", "gpu load", "power mode")


class Board:
    """A client as the documents of jetson-stats 7.2 describe it."""

    def __init__(self, **given: Any) -> None:  # noqa: ANN401
        self.power: dict[str, Any] = {
            "rail": {"VDD_GPU_SOC": {"online": True, "volt": 5000, "curr": 600, "power": 3000}},
            "tot": {"volt": 5000, "curr": 1800, "power": 9000, "avg": 8800},
        }
        self.gpu: dict[str, Any] = {
            "card": {"type": "discrete", "status": {"load": 1.0}, "freq": {"cur": 1}},
            "gpu": {
                "type": "integrated",
                "status": {"load": 87.5},
                "freq": {"cur": 624750, "min": 306000, "max": 624750},
            },
        }
        self.memory: dict[str, Any] = {"EMC": {"online": True, "val": 12, "cur": 2133000}}
        self.nvpmodel: str | None = "15W"
        self.jetson_clocks: bool | None = False
        self.is_alive, self.closed = True, False
        vars(self).update(given)

    def ok(self, spin: bool = False) -> bool:
        assert spin  # else it waits for the next values, and the other sensors with it
        return self.is_alive

    def close(self) -> None:
        self.closed = True


def test_what_sysfs_did_not_tell_comes_from_the_service() -> None:
    sensor = JtopSensor(Board(), ALL)
    values = sensor.read()
    assert values.watts == {"board": 9.0}
    assert values.mhz == {"gpu": 624.75}
    assert values.load == {"gpu": 0.875, "memory bus": 0.12}
    assert sensor.facts == {"power mode": "15W", "jetson_clocks": "off"}
    assert (sensor.gives, sensor.total) == (ALL, ("board",))


def test_what_sysfs_told_is_not_told_twice() -> None:
    sensor = JtopSensor(Board(), ())
    values = sensor.read()
    assert (values.watts, values.mhz, values.load) == ({}, {}, {"memory bus": 0.12})
    assert (sensor.facts, sensor.gives, sensor.total) == ({"jetson_clocks": "off"}, (), ())


def test_what_the_service_does_not_know_stays_away() -> None:
    empty = Board(power={}, gpu={}, memory={}, nvpmodel=None, jetson_clocks=None)
    sensor = JtopSensor(empty, ALL)
    assert not any(vars(sensor.read()).values())
    assert (sensor.gives, sensor.facts) == ((), {})
    offline = Board(memory={"EMC": {"online": False, "val": 3}})
    assert "memory bus" not in JtopSensor(offline, ALL).read().load


def test_a_service_that_ends_is_lost() -> None:
    board = Board()
    sensor = JtopSensor(board, ALL)
    board.is_alive = False
    watched = Telemetry([sensor])
    watched.look()
    assert "jetson-stats no longer responds" in watched.unreadable["jetson-stats"]
    assert board.closed

    def broken(**_: object) -> bool:
        raise EOFError("the pipe is gone")

    vars(board)["ok"] = broken
    with pytest.raises(SensorLostError, match=r"jetson-stats .*: the pipe is gone"):
        sensor.read()


def thor(root: Path) -> Path:
    model = root / "proc/device-tree/model"
    model.parent.mkdir(parents=True)
    model.write_text("NVIDIA Jetson Thor")
    return root


def test_a_board_whose_sysfs_tells_nothing_is_watched_by_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry, "open_jtop", Board)
    sensors, missing = find_sensors(thor(tmp_path))
    assert ([one.name for one in sensors], missing) == (["cpu", "jetson", "jetson-stats"], {})
    watched = Telemetry(sensors)
    assert watched.totals == ("board",)
    assert not {*ALL} & watched.unreadable.keys()
    assert watched.look().watts["board"] == 9.0


def test_without_its_service_it_is_not_asked(tmp_path: Path) -> None:
    if SOCKET.exists():
        pytest.skip("the service of jetson-stats runs here")
    said = open_jtop()
    assert f"({SOCKET} " in said
    assert said.endswith(": sudo jtop --install-service")
    _, missing = find_sensors(thor(tmp_path))
    assert missing == {"jetson-stats": said}


def test_where_nobody_answers_the_library_itself_says_so(tmp_path: Path) -> None:
    """In a process of its own: its client starts threads that outlive the attempt."""
    service = pytest.importorskip("jtop.service", reason="jetson-stats is not installed")
    assert Path(service.JTOP_PIPE) == SOCKET
    if SOCKET.exists():
        pytest.skip("the service of jetson-stats runs here")
    code = (
        "from pathlib import Path; from vsrc.runtime.sensors import jtop\n"
        f"jtop.SOCKET = Path({str(tmp_path)!r}); print(jtop.open_jtop())"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    words = "The jtop.service is not active. Please run: sudo jtop --install-service"
    assert done.stdout.strip() == words
