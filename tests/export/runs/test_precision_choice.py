"""What `--precision auto` recommends follows from what it measured."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from vsrc.cli import main
from vsrc.export.runs.precision_choice import PrecisionCandidate, choose_precision
from vsrc.export.runs.text import choice_lines
from vsrc.runtime.sample import SAMPLE_CLIP

BASE = PrecisionCandidate("fp32", psnr_db=130.0, latency_ms=100.0)


def chosen(*others: PrecisionCandidate) -> tuple[str, tuple[str, ...]]:
    found = choose_precision([BASE, *others], backend="ort-cpu", height=180, width=320)
    return found.recommended, found.efficient


def test_the_fastest_that_is_worth_it_is_recommended() -> None:
    half = PrecisionCandidate("fp16", psnr_db=75.0, latency_ms=101.0)
    small = PrecisionCandidate("int8-cpu", psnr_db=44.0, latency_ms=60.0)
    assert chosen(half, small) == ("int8-cpu", ("fp32", "int8-cpu"))


def test_nothing_is_given_up_for_a_few_per_cent() -> None:
    assert chosen(PrecisionCandidate("fp16", psnr_db=75.0, latency_ms=97.0)) == (
        "fp32",
        ("fp32", "fp16"),
    )


def test_what_is_slower_and_no_closer_is_never_efficient() -> None:
    slow = PrecisionCandidate("int8", psnr_db=45.0, latency_ms=130.0)
    twin = PrecisionCandidate("fp16", psnr_db=130.0, latency_ms=100.0)
    assert chosen(slow, twin) == ("fp32", ("fp32", "fp16"))


def test_the_table_names_what_is_missing_and_why() -> None:
    missing = PrecisionCandidate("int8", refused="it has no ranges: vsrc calibrate")
    found = choose_precision([BASE, missing], backend="ort-cpu", height=180, width=320)
    _, head, columns, *rows, command = choice_lines(found, Path("my student.vsrc"))
    assert head == (
        "on ort-cpu, one frame of 180x320 (HxW); recommended: fp32 "
        "(nothing is more than 5 % faster than fp32 here)"
    )
    assert columns.split() == ["precision", "ms", "dB", "against", "truth", "size"]
    assert "recommended" in rows[0]
    assert rows[1].split(None, 1) == ["int8", "not written: it has no ranges: vsrc calibrate"]
    assert command == (
        "next: vsrc infer VIDEO -m 'my student.vsrc' --precision fp32 --backend ort -o OUT.mp4"
    )


def test_a_loss_has_one_sign() -> None:
    small = PrecisionCandidate("int8-cpu", psnr_db=44.0, latency_ms=60.0, gain_db=-0.0185)
    equal = PrecisionCandidate("fp16", psnr_db=99.0, latency_ms=90.0, gain_db=-0.00001)
    found = choose_precision([BASE, equal, small], backend="ort-cpu", height=180, width=320)
    text = "\n".join(choice_lines(found, Path("a.vsrc")))
    assert "-0.02 dB against ground truth" in found.reason
    assert " -0.02 " in text
    assert " +0.00 " in text
    assert "-0.00 " not in text


@pytest.mark.slow
def test_auto_writes_what_passes_and_measures_it(untrained_package: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(untrained_package, tmp_path / "copy.vsrc"))
    asked = ["export", str(path), "--precision", "auto", "--no-halves", "--shape", "24x32"]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.stderr
    assert sorted(file.name for file in (path / "graphs").iterdir()) == ["fp16.onnx", "fp32.onnx"]
    assert "on ort-cpu, one frame of 24x32 (HxW)" in done.stdout
    assert "int8-cpu   not written: " in done.stdout
    assert "vsrc calibrate" in done.stdout
    (command,) = (line for line in done.stdout.splitlines() if line.startswith("next: "))
    words = shlex.split(command.removeprefix("next: vsrc "))
    made = tmp_path / "out.mp4"
    files = {"VIDEO": str(SAMPLE_CLIP), "OUT.mp4": str(made)}
    run = CliRunner().invoke(main, [*(files.get(word, word) for word in words), "--frames", "2"])
    assert run.exit_code == 0, run.output
    assert made.is_file()


@pytest.mark.slow
def test_auto_keeps_and_measures_the_graphs_that_are_there(
    untrained_package: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copytree(untrained_package, tmp_path / "copy.vsrc"))
    asked = ["export", str(path), "--no-halves", "--shape", "24x32"]
    first = CliRunner().invoke(main, asked)
    assert first.exit_code == 0, first.stderr
    before = (path / "graphs" / "fp32.onnx").stat()
    auto = CliRunner().invoke(main, [*asked, "--precision", "auto"])
    assert auto.exit_code == 0, auto.stderr
    assert sorted(file.name for file in (path / "graphs").iterdir()) == ["fp16.onnx", "fp32.onnx"]
    kept = (path / "graphs" / "fp32.onnx").stat()
    assert (kept.st_ino, kept.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    (agreement,) = (line for line in first.stdout.splitlines() if line.startswith("fp32: "))
    assert agreement in auto.stdout, "the graph that was kept is measured again"
    assert "kept: fp32 " in auto.stdout
    again = CliRunner().invoke(main, [*asked, "--precision", "auto"])
    assert again.exit_code == 0, again.stderr
    assert "kept: fp32, fp16 " in again.stdout


@pytest.mark.parametrize(
    "other", [("--shape", "12x16"), ("--opset", "19")], ids=lambda each: each[0]
)
def test_auto_replaces_graphs_of_other_shapes_and_opsets_only_when_asked(
    tiny_package: Path, other: tuple[str, ...], tmp_path: Path
) -> None:
    path = Path(shutil.copytree(tiny_package, tmp_path / "copy.vsrc"))
    asked = ["export", str(path), "--precision", "auto", *other]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 2
    assert "--overwrite" in done.stderr
