"""The name `sample` is shown as it was typed, not as a path inside the installed package."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from vsrc.cli import main
from vsrc.runtime.sample import SAMPLE_CLIP


@pytest.mark.parametrize(
    "words",
    [
        ("infer", "sample", "-m", "edge-s", "-o", "a.mp4", "--dry-run"),
        ("infer", "sample", "-m", "edge-s", "-o", "out/", "--dry-run"),
        ("infer", "sample", "-m", "edge-s", "-o", "a.mp4", "--frames", "1"),
        ("infer", "sample", "-m", "edge-s", "-o", "a.mp4", "--start", "500"),
        ("preview", "sample", "-m", "edge-s", "-o", "a.html", "--start", "500"),
        ("compare", "sample", "sample", "-o", "a.html"),
        ("calibrate", "edge-s", "sample", "-o", "a.vsrc", "--windows", "1"),
        ("data", "check", "sample"),
        (
            "distill",
            "--student",
            "edge-s",
            "--objective",
            "none",
            "--data",
            "sample",
            "-o",
            "a.vsrc",
            "--dry-run",
        ),
    ],
)
def test_messages_name_it_sample(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    output = CliRunner().invoke(main, words, prog_name="vsrc").output
    assert "sample" in output
    assert str(SAMPLE_CLIP.parent) not in output


@pytest.mark.parametrize(
    "words",
    [
        ("infer", "sample"),
        ("demo",),
        ("selftest",),
        ("pack", "edge-s"),
        ("split", "edge-s", "--width", "0.5"),
        ("shard", "--data", "sample", "--crops", "1"),
        ("distill", "--data", "sample", "--objective", "none"),
    ],
)
def test_no_output_replaces_the_name_of_the_clip(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, [*words, "-o", "sample"], prog_name="vsrc")
    assert done.exit_code == 2
    assert "sample-out" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_that_name_stays_an_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sample").mkdir()
    (tmp_path / "a.png").write_bytes(b"")
    done = CliRunner().invoke(main, ["infer", "a.png", "-o", "sample"], prog_name="vsrc")
    assert "sample-out" not in done.stderr


def test_a_copy_of_a_shipped_model_names_it_as_it_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["pack", "edge-s", "-o", "a.vsrc"], prog_name="vsrc")
    assert done.exit_code == 0, done.output
    assert "copy of edge-s" in done.output
