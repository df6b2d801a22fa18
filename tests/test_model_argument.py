"""Names of packages that come with vsrc, where a path is expected."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from vsrc.cli import main
from vsrc.commands.model_argument import MODEL
from vsrc.runtime.shipped_models import list_shipped, shipped


def test_a_name_is_the_package_that_ships() -> None:
    assert [MODEL.convert(name, None, None) for name in list_shipped()] == [
        shipped(name) for name in list_shipped()
    ]


def test_what_is_there_goes_before_what_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("edge-s").mkdir()
    assert MODEL.convert("edge-s", None, None) == Path("edge-s")
    assert MODEL.convert("edge-s.vsrc", None, None) == Path("edge-s.vsrc")


def test_the_command_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["inspect", "edge-s"])
    assert done.exit_code == 0
    assert "edge-s x4" in done.output


@pytest.mark.parametrize("command", ["export edge-s", "calibrate edge-s clips"])
def test_a_shipped_package_is_not_written_to(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, command.split())
    assert done.exit_code == 2
    assert f"cp -r {shipped('edge-s')} edge-s.vsrc" in done.stderr
    assert list(tmp_path.iterdir()) == []
