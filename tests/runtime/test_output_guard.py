"""Outputs that would destroy something are refused, whatever they are called."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from vsrc.runtime.errors import OutputError
from vsrc.runtime.output_guard import (
    PlannedOutput,
    check_outputs,
    hash_job,
    mark_report,
    model_files,
    report_output,
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A film with a link and a hard link to it, and a package."""
    (tmp_path / "film.mp4").write_text("film")
    (tmp_path / "link.mp4").symlink_to("film.mp4")
    (tmp_path / "hard.mp4").hardlink_to(tmp_path / "film.mp4")
    (tmp_path / "sub").mkdir()
    graphs = tmp_path / "student.vsrc" / "graphs"
    graphs.mkdir(parents=True)
    text = json.dumps({"schema_version": 1, "network": {}})
    (graphs.parent / "model.json").write_text(text)
    (tmp_path / "inside").symlink_to(graphs)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refuse(words: str, *paths: str, inputs: tuple[str, ...] = (), overwrite: bool = False) -> None:
    outputs = [PlannedOutput(Path(path), f"--{at}") for at, path in enumerate(paths)]
    with pytest.raises(OutputError, match=words) as refusal:
        check_outputs(outputs, inputs=map(Path, inputs), overwrite=overwrite)
    assert refusal.value.exit_status == 2


@pytest.mark.parametrize("name", ["film.mp4", "link.mp4", "hard.mp4", "sub/../film.mp4"])
@pytest.mark.parametrize("given", ["film.mp4", "link.mp4"])
def test_an_input_is_never_replaced(place: Path, name: str, given: str) -> None:
    for path in (name, str(place / name)):
        refuse("is the input itself", path, inputs=(given,), overwrite=True)


@pytest.mark.parametrize("name", ["model.json", "graphs/new.json", "a/b/c.html"])
def test_nothing_is_written_into_a_package(place: Path, name: str) -> None:
    assert place.exists()
    refuse("inside the package .*student.vsrc", f"student.vsrc/{name}", overwrite=True)
    refuse("inside the package", "inside/x.html", overwrite=True)


def test_a_folder_with_an_input_is_not_replaced(place: Path) -> None:
    (place / "run").mkdir()
    (place / "run" / "weights.pth").touch()
    run = PlannedOutput(Path("run"), "-o", replaces_folder=True)
    with pytest.raises(OutputError, match=r"run contains the input run/weights\.pth"):
        check_outputs([run], inputs=[Path("run/weights.pth")], overwrite=True)


@pytest.mark.parametrize(
    ("first", "second"),
    [("new.json", "sub/../new.json"), ("film.mp4", "hard.mp4"), ("film.mp4", "link.mp4")],
)
def test_two_outputs_are_two_files(place: Path, first: str, second: str) -> None:
    assert place.exists()
    refuse(f"{second} is the output of both --0 and --1", first, second, overwrite=True)


def test_what_exists_needs_overwrite(place: Path) -> None:
    refuse("film.mp4 exists; add --overwrite", "film.mp4")
    check_outputs([PlannedOutput(Path("film.mp4"), "-o")], overwrite=True)
    check_outputs([PlannedOutput(place / "new.mp4", "-o")])


def test_stdout_devices_and_pipes_are_written(place: Path) -> None:
    os.mkfifo(place / "pipe")
    names = ("-", "-", "/dev/null", "/dev/null", "pipe")
    check_outputs([PlannedOutput(Path(name), "-o") for name in names], inputs=[Path("/dev/null")])


@pytest.mark.parametrize(
    "content",
    [
        '{\n  "kind": "vsrc-bench",\n  "schema_version": 1,\n  "job": 3\n}\n',
        "<!doctype html>\n<html>\n<head>\n<title>x</title></head></html>",
    ],
)
def test_a_report_is_replaced_by_its_own_job_alone(place: Path, content: str) -> None:
    path = place / "report"
    path.write_text(content)
    mine, other = hash_job("bench", "a.onnx", 3), hash_job("bench", "a.onnx", 4)
    with pytest.raises(OutputError, match="add --overwrite"):
        check_outputs([report_output(path, "--json", job=mine)])
    mark_report(path, mine)
    check_outputs([report_output(path, "--json", job=mine)])
    with pytest.raises(OutputError, match="add --overwrite"):
        check_outputs([report_output(path, "--json", job=other)])
    assert len(path.read_text().splitlines()) == len(content.splitlines()) + 1


def test_files_that_belong_to_a_model_are_inputs() -> None:
    assert model_files("a.engine", None) == [Path("a.engine"), Path("a.json")]
    assert model_files("a.onnx") == [Path("a.onnx"), Path("a.onnx.data")]
    assert Path("my/networks.py") in model_files("my.networks:create")
    assert model_files("a.vsrc") == [Path("a.vsrc")]
