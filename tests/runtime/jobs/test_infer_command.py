"""`vsrc infer` as a user meets it: statuses, one line on stderr, nothing half-written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from vsrc.cli import main

Make = Callable[..., Any]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["infer", *map(str, arguments)])


def test_a_video_is_restored_and_the_result_named(
    tmp_path: Path, clip: Path, tiny_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsrc.runtime.backends.opening.has_nvidia_device", lambda: True)
    output = tmp_path / "a.mp4"
    result = run(clip, "-m", tiny_package, "-o", output, "--frames", "6", "--start", "0:00.2")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{output}  6 frames, ")
    line, choice = result.stderr.splitlines()
    assert choice.startswith("ort-cpu fp32 runs it; skipped: trt (student.vsrc holds no trt")
    assert line.startswith(f"{clip}: h264 48x32 (WxH), 25 fps, 24 frames, yuv420p")
    assert line.endswith("libx264 yuv420p 96x64 (WxH) by ort-cpu fp32 (graphs/fp32.onnx)")
    assert list(tmp_path.iterdir()) == [output]


def test_json_says_what_became_of_each_input(
    tmp_path: Path, clip: Path, tiny_package: Path
) -> None:
    result = run(clip, "-m", tiny_package, "-o", tmp_path / "a.mkv", "--frames", "3", "--json")
    (file,) = json.loads(result.stdout)["files"]
    assert (file["frames"], file["runs"], file["notes"]) == (3, "ort-cpu fp32", [])
    assert 0 < file["first_frame_seconds"] <= file["seconds"]


def bad_inputs(tmp_path: Path, clip: Path) -> dict[str, Path]:
    text = tmp_path / "notes.txt"
    text.write_text("nothing to see here\n" * 200)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])  # its index is at the end
    return {"missing": tmp_path / "none.mp4", "text": text, "empty": empty, "cut": cut}


@pytest.mark.parametrize("which", ["missing", "text", "empty", "cut"])
def test_a_bad_input_is_one_line_and_status_1(
    tmp_path: Path, clip: Path, tiny_package: Path, which: str
) -> None:
    path = bad_inputs(tmp_path, clip)[which]
    before = sorted(tmp_path.iterdir())
    result = run(path, "-m", tiny_package, "-o", tmp_path / "a.mp4")
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"vsrc: {path} ")
    assert sorted(tmp_path.iterdir()) == before


def test_one_bad_input_of_two_is_status_1_with_the_good_one_done(
    tmp_path: Path, clip: Path, tiny_package: Path
) -> None:
    bad = bad_inputs(tmp_path, clip)["text"]
    result = run(clip, bad, "-m", tiny_package, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{tmp_path}/out/clip.mp4  24 frames")
    assert result.stderr.splitlines()[-1].startswith("vsrc: 1 of 2 inputs ")
    assert result.stderr.splitlines()[-2].startswith(f"{bad} is ")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--frames", "0"), 2, "frames=0 must be 1 or more"),
        (("--start", "soon"), 2, "'soon' is not a time"),
        (("--codec", "h263000"), 3, "no encoder 'h263000'"),
        (("--codec", "aac"), 2, "encodes audio"),
        (("--codec", "ffv1", "--crf", "18"), 2, "is not supported by ffv1"),
        (("--crf", "52"), 2, "crf=52 must lie in [0, 51] for libx264"),
        (("--backend", "abacus"), 2, "backend='abacus' is not known"),
        (("--precision", "int8"), 1, "has no int8 graph"),
        (("-m", "nowhere.vsrc"), 1, "nowhere.vsrc does not exist"),
    ],
)
def test_a_wrong_option_is_one_line_and_its_status(
    tmp_path: Path,
    clip: Path,
    tiny_package: Path,
    arguments: tuple[str, ...],
    status: int,
    words: str,
) -> None:
    result = run(clip, "-m", tiny_package, "-o", tmp_path / "a.mp4", *arguments)
    assert result.exit_code == status
    (line,) = result.stderr.splitlines()
    assert words in line
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_exists_is_kept(tmp_path: Path, clip: Path, tiny_package: Path) -> None:
    output = tmp_path / "a.mp4"
    output.write_text("old")
    result = run(clip, "-m", tiny_package, "-o", output)
    assert (result.exit_code, output.read_text()) == (2, "old")
    assert "exists; add --overwrite" in result.stderr
    assert run(clip, "-m", tiny_package, "-o", output, "--overwrite").exit_code == 0
    assert output.stat().st_size > 1000


def test_damage_is_reported_and_the_job_done(
    tmp_path: Path, write_clip: Make, moving: Make, tiny_package: Path
) -> None:
    path = write_clip(tmp_path / "a.mp4", moving(30), options={"g": "6"})
    data = bytearray(path.read_bytes())
    middle = (data.index(b"mdat") + data.index(b"moov")) // 2
    data[middle : middle + 400] = b"\xff" * 400
    path.write_bytes(data)
    result = run(path, "-m", tiny_package, "-o", tmp_path / "b.mp4")
    assert result.exit_code == 0
    assert "30 frames" in result.stdout
    assert "damaged packet" in result.stderr
