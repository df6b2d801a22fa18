"""What is said of an export that was stopped."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from vsrc.export.config import ExportConfig
from vsrc.export.runs.exporting import export
from vsrc.export.runs.stopped import open_stoppable
from vsrc.runtime.errors import StoppedError


def stop(config: ExportConfig, package: Path, *, with_graph: Path | None) -> None:
    """Add the graphs of another package, or nothing, and stop."""
    with open_stoppable(config):
        if with_graph is not None:
            shutil.copytree(with_graph, package, dirs_exist_ok=True)
        raise KeyboardInterrupt


@pytest.fixture
def package(untrained_package: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(untrained_package, tmp_path / "student.vsrc"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "int8"}, "saved; run the same command to resume"),
        ({"precision": "int8", "overwrite": True}, "run the same command with --overwrite"),
        ({"precision": "auto"}, "saved; run the same command to resume"),
        ({"precision": "auto", "overwrite": True}, "run the same command with --overwrite"),
    ],
)
def test_what_is_complete_is_named_with_a_command_that_goes_on(
    package: Path, tiny_package: Path, options: dict[str, object], words: str
) -> None:
    config = replace(ExportConfig(package, calib=(package,)), **options)  # type: ignore[arg-type]
    expected = rf"interrupted; fp32 is complete and .*{re.escape(words)}$"
    with pytest.raises(StoppedError, match=expected):
        stop(config, package, with_graph=tiny_package)


def test_nothing_is_said_where_nothing_is_complete(package: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        stop(ExportConfig(package), package, with_graph=None)


def test_a_graph_that_was_there_before_is_not_named(package: Path, tiny_package: Path) -> None:
    shutil.copytree(tiny_package, package, dirs_exist_ok=True)
    with pytest.raises(KeyboardInterrupt):
        stop(ExportConfig(package, overwrite=True), package, with_graph=tiny_package)


def test_an_interrupt_while_the_files_are_moved_waits_for_their_description(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import signal

    from vsrc.runtime.package import open_package, write_spec

    def interrupted(*arguments: object) -> None:
        signal.raise_signal(signal.SIGINT)
        write_spec(*arguments)  # type: ignore[arg-type]

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr("vsrc.export.runs.add_graphs.write_spec", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            export(ExportConfig(package, halves=False))
    finally:
        signal.signal(signal.SIGINT, before)
    opened = open_package(package)
    assert opened.file(opened.spec.graphs["fp32"]).is_file()
