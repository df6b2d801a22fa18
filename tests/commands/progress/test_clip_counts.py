"""Where clips are opened, the progress says how many of how many."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from support.small_clip import write_small_clip
from vsrc.cli import main
from vsrc.commands.progress import progress_log


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two clips; every report of progress is written."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        write_small_clip(folder / name)
    monkeypatch.setattr(progress_log, "SHORTEST_SECONDS", 0.0)
    return folder


def lines(*words: str) -> str:
    """Progress of a command; these clips have a cut at each frame, so some of them fail later."""
    return CliRunner().invoke(main, words, prog_name="vsrc").stderr


def test_distill(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settings = ["patch=32", "clip_length=5", "batch=1"]
    words = ["distill", "--student", "edge-s", "--objective", "none", "--data", str(clips)]
    words += [word for setting in settings for word in ("--set", setting)]
    said = lines(*words, "--steps", "1", "-o", str(tmp_path / "s.vsrc"))
    counts = re.findall(r"opening the clips: (\d) of 2  clips/(\w)\.mp4", said)
    assert counts == [("1", "a"), ("2", "b")]


def test_calibrate(clips: Path, tmp_path: Path, tiny_package: Path) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed")
    package = tmp_path / "s.vsrc"
    shutil.copytree(tiny_package, package)
    said = lines("calibrate", str(package), str(clips), "--windows", "2")
    assert "scanning clips: 1 of 2  a.mp4, frame 0 of" in said
    assert "scanning clips: 2 of 2  b.mp4, frame 0 of" in said


def test_eval(clips: Path, tiny_package: Path) -> None:
    said = lines("eval", str(tiny_package), "--data", str(clips), "--metrics", "psnr")
    for model in ("bicubic", "student"):
        assert f"{model}: 1 of 2 clips  a.mp4  frame 1" in said
        assert f"{model}: 2 of 2 clips  b.mp4  frame 1" in said


def test_data_check(clips: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    said = lines("data", "check", str(clips), "--patch", "16")
    assert "checking the clips: 0 of 2  a.mp4" in said
    assert "checking the clips: 1 of 2  b.mp4" in said
