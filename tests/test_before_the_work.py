"""What a command imports late is looked for before its work: one line, status 3, no file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from support.error_lines import error_line
from vsrc.cli import main
from vsrc.runtime.jobs import job_report
from vsrc.runtime.latency import runs
from vsrc.runtime.quality import comparison, evaluation
from vsrc.runtime.sample import SAMPLE_CLIP

SAMPLE = str(SAMPLE_CLIP)

CASES = [
    ("compare LEFT.mp4 RIGHT.mp4", "jinja2", "vsrc compare needs jinja2"),
    (f"infer {SAMPLE} -o OUT.mp4 --report OUT.html", "jinja2", "--report OUT.html needs jinja2"),
    (f"infer {SAMPLE} -o OUT.mp4 --ray auto", "ray", "needs ray"),
    ("bench --html OUT.html", "jinja2", "--html needs jinja2"),
    ("bench --compare A.json B.json --html OUT.html", "jinja2", "--html needs jinja2"),
    ("bench edge-s edge-m", "onnxruntime", "the backend ort needs onnxruntime"),
    ("bench --profile OUT.json", "onnxruntime", "vsrc bench --profile needs onnxruntime"),
    ("bench --profile OUT.json", "onnxscript", "vsrc bench --profile needs onnxscript"),
    ("demo -o OUT", "jinja2", "vsrc demo needs jinja2"),
    ("demo -o OUT", "onnxsim", "vsrc demo needs onnxsim"),
    ("demo -o OUT", "accelerate", "vsrc demo needs accelerate"),
    ("calibrate edge-s.vsrc CLIPS", "onnxruntime", "vsrc calibrate needs onnxruntime"),
    ("calibrate edge-s.vsrc CLIPS", "onnx", "vsrc calibrate needs onnx"),
    ("export edge-s.vsrc", "onnxruntime", "vsrc export needs onnxruntime"),
    ("export edge-s.vsrc --precision auto", "onnxsim", "vsrc export needs onnxsim"),
    ("export edge-s.vsrc", "torch", "vsrc export needs torch"),
    ("eval --data CLIPS --metrics psnr,vmaf", "imageio_ffmpeg", "VMAF needs imageio_ffmpeg"),
    ("eval --data CLIPS --metrics psnr,tof", "cv2", "optical flow needs cv2"),
    ("eval --data CLIPS --metrics warp", "cv2", "optical flow needs cv2"),
    ("eval --data CLIPS --metrics lpips", "safetensors", "the metric lpips needs safetensors"),
    ("data check CLIPS", "torch", "vsrc data check needs torch"),
    ("split student.vsrc --width 0.5 -o OUT", "safetensors", "vsrc split needs safetensors"),
    ("shard --data CLIPS -o OUT", "yaml", "vsrc shard needs yaml"),
    ("distill --data CLIPS", "tensorboard", "vsrc distill needs tensorboard"),
    ("distill --data CLIPS", "yaml", "vsrc distill needs yaml"),
]


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work itself fails loudly."""

    def work(*_arguments: object, **_options: object) -> None:
        raise AssertionError("the work began")

    for module, name in (
        (runs, "ask"),
        (comparison, "VideoReader"),
        (evaluation, "score_upscaler"),
        (job_report, "infer"),
    ):
        monkeypatch.setattr(module, name, work)


@pytest.mark.parametrize(("line", "module", "expected"), CASES)
def test_what_is_missing_is_said_before_the_work(
    line: str, module: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    forbid(monkeypatch)
    arguments = line.split()
    if line.startswith("bench edge"):
        arguments += ["--backend", "ort"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 3, done.output
    error = error_line(done.stderr)
    assert expected in error
    assert " install " in error
    assert list(tmp_path.iterdir()) == []


def test_both_builds_of_onnxruntime_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    stderr = CliRunner().invoke(main, ["export", "edge-s.vsrc"]).stderr
    assert "onnxruntime-gpu[cuda,cudnn]>=1.20" in stderr
    assert "never both" in stderr


def test_a_program_without_libvmaf_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho ' TS scale V->V'\n")
    program.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(program))
    forbid(monkeypatch)
    done = CliRunner().invoke(main, ["eval", "--data", "CLIPS", "--metrics", "vmaf"])
    assert done.exit_code == 3
    assert "libvmaf" in done.stderr
