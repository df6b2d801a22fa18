from __future__ import annotations

from pathlib import Path

import pytest

from vsrc.runtime.inspection import trials
from vsrc.runtime.inspection.trials import Outcome, run_trial
from vsrc.runtime.package import open_package


def test_what_is_here_works(tiny_package: Path) -> None:
    assert run_trial("numpy") == Outcome(True, "")
    video = run_trial("av").said
    assert video.startswith("opens a video; decodes h264")
    assert video.endswith("encodes x264 x265 av1")  # PyAV's own wheels have them all
    assert "CPU" in run_trial("onnxruntime").said.split()
    assert run_trial("provider", "CPUExecutionProvider") == Outcome(True, "ran a graph")
    side = 32 * open_package(tiny_package).spec.network.scale
    outcome = run_trial("package", str(tiny_package))
    assert outcome == Outcome(True, f"upscaled a frame to {side}x{side}")


def test_nvenc_is_claimed_only_where_a_gpu_encodes(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    monkeypatch.setattr(trials, "_encode", lambda codec, _frames: tried.append(codec))
    assert trials.TRIALS["av"]("").endswith("encodes x264 x265 av1")
    assert tried == ["x264", "x265", "av1"]
    assert trials.TRIALS["av"]("gpu").endswith("encodes x264 x265 av1 nvenc")


def test_an_encoder_that_fails_is_not_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = "nvenc"

    def encode(codec: str, _frames: object) -> None:
        if codec == broken:
            raise OSError("no driver")

    monkeypatch.setattr(trials, "_encode", encode)
    assert trials.TRIALS["av"]("gpu").endswith("encodes x264 x265 av1")
    broken = "x264"
    with pytest.raises(RuntimeError, match="x264 does not encode: no driver"):
        trials.TRIALS["av"]("")


def test_a_provider_that_falls_back_to_another_does_not_work() -> None:
    outcome = run_trial("provider", "NoSuchExecutionProvider")
    assert not outcome.works
    assert "NoSuchExecutionProvider" in outcome.said


def test_an_error_is_one_line_with_its_name(tmp_path: Path) -> None:
    outcome = run_trial("package", str(tmp_path / "none.vsrc"))
    assert not outcome.works
    assert outcome.said.startswith("SpecError: ")
    assert "\n" not in outcome.said


@pytest.mark.parametrize(
    ("code", "seconds", "said"),
    [
        ("raise OSError('no driver')", 60, "its process failed with status 1: OSError: no driver"),
        (
            "import os; os.write(2, b'oops'); os.abort()",
            60,
            "its process was ended by SIGABRT (aborted): oops",
        ),
        (
            "print('a library talks')",
            60,
            "its process ended without an answer and wrote no message",
        ),
        (
            "import signal; signal.pause()",
            1,
            "gave no answer within 1 seconds; try again when the machine is less busy",
        ),
    ],
)
def test_a_library_that_crashes_talks_or_hangs_is_survived(
    code: str, seconds: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "_CODE", code)
    monkeypatch.setattr(trials, "_SECONDS", seconds)
    assert run_trial("numpy") == Outcome(False, said, is_late=seconds == 1)


def test_what_a_library_prints_is_not_taken_for_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trials, "_CODE", "print('{', end=''); " + trials._CODE)
    assert run_trial("numpy").works
