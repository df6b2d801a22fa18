"""No command replaces what it reads, and repeated commands replace their own reports."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from support.small_clip import write_small_clip
from vsrc.cli import main

QUICK = ("--iterations", "1", "--runs", "1", "--shape", "16x16", "--no-stages", "--backend", "ort")


@pytest.fixture
def place(tmp_path: Path, tiny_package: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two clips, a package and a graph in the working directory."""
    for name in ("a.mp4", "b.mp4"):
        write_small_clip(tmp_path / name)
    shutil.copytree(tiny_package, tmp_path / "s.vsrc")
    shutil.copy(tiny_package / "graphs" / "fp32.onnx", tmp_path / "x.onnx")
    (tmp_path / "r.json").write_text("{}")
    (tmp_path / "list.ffconcat").write_text("ffconcat version 1.0\nfile a.mp4\n")
    (tmp_path / "link.json").hardlink_to(tmp_path / "s.vsrc" / "model.json")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def hashes(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def run(line: str, *more: str) -> Result:
    return CliRunner().invoke(main, [*line.split(), *more])


@pytest.mark.parametrize(
    "line",
    [
        "infer a.mp4 -o c.mp4 --report a.mp4",
        "infer a.mp4 -o c.mp4 --report c.mp4",
        "infer a.mp4 -o a.mp4",
        "infer a.mp4 b.mp4 -o .",
        "infer a.mp4 -m s.vsrc -o c.mp4 --report s.vsrc/reports/new.html",
        "infer a.mp4 -m x.onnx -o c.mp4 --report x.onnx",
        "infer a.mp4 -m s.vsrc -o s.vsrc",
        "infer a.mp4 -o ./%08d.png --report 00000003.png",
        "bench s.vsrc --json s.vsrc/model.json",
        "bench s.vsrc --json s.vsrc/weights.safetensors",
        "bench x.onnx --html x.onnx",
        "bench x.onnx --html n.html --json n.html",
        "bench --compare r.json a.mp4 --json r.json",
        "compare a.mp4 b.mp4 -o a.mp4",
        "compare a.mp4 b.mp4 -o ./b.mp4",
        "infer list.ffconcat --allow-playlist -m s.vsrc -o a.mp4",
        "infer list.ffconcat --allow-playlist -m s.vsrc -o c.mp4 --report a.mp4",
        "compare list.ffconcat b.mp4 --allow-playlist -o a.mp4",
        "preview list.ffconcat --allow-playlist -m s.vsrc -o a.mp4",
        "preview a.mp4 -m x.onnx -o x.onnx",
        "preview a.mp4 -m s.vsrc -o s.vsrc/model.json",
        "bench s.vsrc --json link.json",
        "pack s.vsrc -o s.vsrc",
        "export x.onnx -o s.vsrc --timing-cache x.onnx",
    ],
)
def test_nothing_is_destroyed_even_with_overwrite(place: Path, line: str) -> None:
    before = hashes(place)
    done = run(line, "--overwrite")
    assert (done.exit_code, hashes(place)) == (2, before), done.output


@pytest.mark.parametrize(
    "line",
    [
        "infer a.mp4 -m s.vsrc --backend ort -o c.mp4 --report r.json",
        "bench s.vsrc --json r.json",
        "bench s.vsrc --profile r.json",
        "compare a.mp4 b.mp4 -o r.json",
        "export s.vsrc --format trt --timing-cache r.json",
        "selftest --quick --out out --json r.json",
    ],
)
def test_a_file_of_somebody_else_needs_overwrite(place: Path, line: str) -> None:
    if "--profile" in line:
        line = line.replace(" s.vsrc", "")
    before = hashes(place)
    done = run(line)
    assert (done.exit_code, hashes(place)) == (2, before)
    assert "r.json exists; add --overwrite" in done.stderr


@pytest.mark.parametrize("line", ["infer a.mp4 -o {}", "infer a.mp4 -m s.vsrc -o {}",
    "compare a.mp4 b.mp4 -o {}", "preview a.mp4 -o {}", "bench s.vsrc --json {}"])  # fmt: skip
def test_a_url_as_output_is_refused_as_it_was_typed(place: Path, line: str) -> None:
    before = hashes(place)
    done = run(line.format("rtmp://host/live/key.mp4"))
    assert (done.exit_code in (1, 2), hashes(place)) == (True, before)
    assert "rtmp://host/live/key.mp4 is a URL" in done.stderr


def test_a_repeated_command_replaces_its_own_reports(place: Path) -> None:
    line = "bench s.vsrc --json new.json --html new.html"
    for _ in range(2):
        assert run(line, *QUICK).exit_code == 0
    assert json.loads((place / "new.json").read_text())["subject"]["model"] == "s.vsrc"
    other = run(line, *QUICK, "--threads", "1")
    assert other.exit_code == 2
    assert run(line, *QUICK, "--threads", "1", "--overwrite").exit_code == 0


def test_a_result_of_somebody_else_is_a_failure_of_its_own(place: Path) -> None:
    (place / "out").mkdir()
    mine = place / "out" / "b.mp4"
    mine.write_bytes(b"mine")
    line = "infer a.mp4 b.mp4 -m s.vsrc --backend ort -o out"
    done = run(line)
    assert (done.exit_code, mine.read_bytes()) == (1, b"mine")
    assert f"{mine.relative_to(place)} exists; add --overwrite" in done.stderr
    assert (place / "out" / "a.mp4").is_file()  # the others are made
    assert run(line, "--overwrite").exit_code == 0
    assert mine.read_bytes() != b"mine"


def test_a_library_is_resumed_within_itself(place: Path, tiny_package: Path) -> None:
    library = place / "lib"
    for season in ("s1", "s2"):
        write_small_clip(library / season / "ep1.mp4")
    line = f"infer lib -m {tiny_package} --backend ort -o lib/x4"
    assert run(line).exit_code == 0
    results = sorted(str(path.relative_to(library)) for path in library.rglob("x4/**/*.mp4"))
    assert results == ["x4/s1/ep1.mp4", "x4/s2/ep1.mp4"]
    before = hashes(library / "x4" / "s1")
    again = run(line)
    assert again.exit_code == 0
    assert again.stderr.count("skipped: it exists already") == 2
    assert hashes(library / "x4" / "s1") == before


def test_a_manifest_of_another_program_is_kept(place: Path, tiny_package: Path) -> None:
    (place / "out").mkdir()
    manifest = place / "out" / "vsrc-manifest.json"
    manifest.write_text('{"name": "mine"}')
    line = f"infer a.mp4 b.mp4 -m {tiny_package} --backend ort -o out"
    done = run(line)
    assert done.exit_code == 2
    assert "vsrc-manifest.json exists" in done.stderr
    assert run(line, "--overwrite").exit_code == 0


def test_a_name_as_long_as_a_disk_allows_is_upscaled(place: Path, tiny_package: Path) -> None:
    (place / "lib").mkdir()
    name = "n" * 251 + ".mp4"
    (place / "a.mp4").rename(place / "lib" / name)
    (place / "b.mp4").rename(place / "lib" / "b.mp4")
    done = run(f"infer lib -m {tiny_package} --backend ort -o out")
    assert done.exit_code == 0, done.output
    names = {path.name for path in (place / "out").iterdir()}
    assert names == {name, "b.mp4", "vsrc-manifest.json"}


@pytest.mark.parametrize("error", [MemoryError(), ValueError("no"), OSError(36, "too long")])
def test_whatever_an_input_raises_is_its_own_failure(
    place: Path, monkeypatch: pytest.MonkeyPatch, tiny_package: Path, error: Exception
) -> None:
    from vsrc.runtime.encode.targets import check_target

    def fail(target: Any, *, overwrite: bool) -> None:  # noqa: ANN401
        if target.path.name == "a.mp4":
            raise error
        check_target(target, overwrite=overwrite)

    monkeypatch.setattr("vsrc.runtime.jobs.unit.check_target", fail)
    done = run(f"infer a.mp4 b.mp4 -m {tiny_package} --backend ort -o out")
    assert done.exit_code == 1
    assert "1 of 2 inputs could not be upscaled" in done.stderr
    assert (place / "out" / "b.mp4").is_file()
