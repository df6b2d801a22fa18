"""Calibration of a real, untrained student on clips made in code."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from vsrc.calibration import CalibrationConfig, calibrate, calibrating
from vsrc.calibration.calibration_file import (
    QAT,
    Calibration,
    read_calibration,
    write_calibration,
)
from vsrc.calibration.fidelity import Fidelity
from vsrc.calibration.memory import affordable_tile
from vsrc.calibration.observer import Observer
from vsrc.calibration.progress import CalibrationProgress
from vsrc.calibration.unfinished import Unfinished
from vsrc.cli import main
from vsrc.runtime.errors import DataError, MismatchError, OutputError, SpecError, StoppedError
from vsrc.runtime.hashing import file_sha256
from vsrc.runtime.package import CALIBRATION_FILE, open_package

Frames = NDArray[np.uint8]
KEYS = ["encoder", "fusion", "body.0", "body.1", "body.2", "body.3", "tail"]


def _config(package: Path, *clips: Path, **options: object) -> CalibrationConfig:
    base = CalibrationConfig(package, clips, windows=6, threads=1)
    return dataclasses.replace(base, **options)  # type: ignore[arg-type]


def test_ranges_hold_what_the_network_makes_of_the_drawn_windows(
    package: Path, two_shots: Path, drifting: Callable[..., Frames]
) -> None:
    result = calibrate(_config(package, two_shots, windows=99))
    frames = np.concatenate([drifting(7, seed=1), drifting(5, seed=2)])
    model = onnx.load(package / "graphs/fp32.onnx")
    observer = Observer(model, threads=1)
    for centre in range(12):
        first, last = (0, 6) if centre < 7 else (7, 11)
        observer.see(frames[np.clip([centre - 1, centre, centre + 1], first, last)][None])
    found = result.calibration
    assert list(found.ranges) == list(found.outputs) == KEYS
    assert found.ranges["encoder"] == pytest.approx((frames.min() / 255, frames.max() / 255))
    for key in KEYS:
        assert found.ranges[key] == (observer.inputs[key].low, observer.inputs[key].high)
        assert found.outputs[key] == (observer.outputs[key].low, observer.outputs[key].high)


@pytest.mark.parametrize(("windows", "observed"), [(16, 8), (15, 15)])
def test_ranges_are_judged_on_windows_that_they_were_not_found_on(
    package: Path,
    write_video: Callable[..., Path],
    drifting: Callable[..., Frames],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    windows: int,
    observed: int,
) -> None:
    seen: list[bytes] = []
    judged: list[bytes] = []

    class Watched(Observer):
        def see(self, lr: Frames) -> None:
            seen.append(lr.tobytes())
            super().see(lr)

    class Judge(Fidelity):
        def __init__(self, model: onnx.ModelProto, windows: list[Frames], *, threads: int) -> None:
            judged.extend(window.tobytes() for window in windows)
            super().__init__(model, windows, threads=threads)

    monkeypatch.setattr(calibrating, "Observer", Watched)
    monkeypatch.setattr(calibrating, "Fidelity", Judge)
    clip = write_video(tmp_path / "clip.mkv", [drifting(windows, seed=3)])
    calibrate(_config(package, clip, windows=windows))
    assert (len(seen), len(judged)) == (observed, 8)
    assert set(seen).isdisjoint(judged) == (observed < windows)


def test_record_says_what_was_fed(package: Path, two_shots: Path) -> None:
    result = calibrate(_config(package, two_shots))
    data = json.loads((package / CALIBRATION_FILE).read_text(encoding="utf-8"))
    assert data["method"] == "minmax"
    assert data["windows"] == 6
    (clip,) = data["clips"]
    assert clip["sha256"] == file_sha256(two_shots)
    assert (clip["frames"], clip["shots"], len(clip["windows"])) == (12, 2, 6)
    assert data["weights_sha256"] == open_package(package).spec.weights.sha256
    assert "only 6 windows" in data["notes"][0]
    assert read_calibration(package) == result.calibration
    assert list(package.glob(".calibration*")) == []


def test_same_clips_same_file(package: Path, two_shots: Path) -> None:
    first = calibrate(_config(package, two_shots)).file.read_bytes()
    again = calibrate(_config(package, two_shots, overwrite=True)).file.read_bytes()
    assert first == again


def test_stopped_run_goes_on_and_ends_the_same(
    package: Path, two_shots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole.vsrc"
    shutil.copytree(package, whole)
    expected = calibrate(_config(whole, two_shots, method="percentile")).calibration

    monkeypatch.setattr(Unfinished, "is_due", True)  # save after each window

    def stop_at_the_fourth(now: CalibrationProgress) -> None:
        if now.stage == "feed" and now.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(StoppedError, match=r"3 of 6 .*again"):
        calibrate(_config(package, two_shots, method="percentile"), progress=stop_at_the_fourth)
    assert read_calibration(package) is None

    seen = []
    see = Observer.see

    def counted(self: Observer, lr: Frames) -> None:
        seen.append(lr.shape)
        see(self, lr)

    monkeypatch.setattr(Observer, "see", counted)
    resumed = calibrate(_config(package, two_shots, method="percentile")).calibration
    assert len(seen) == 3
    assert resumed == expected


def test_another_draw_does_not_go_on_from_there(
    package: Path, two_shots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = calibrate(_config(package, two_shots, seed=5, overwrite=True)).calibration
    monkeypatch.setattr(Unfinished, "is_due", True)

    def stop(now: CalibrationProgress) -> None:
        if now.stage == "feed" and now.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(StoppedError):
        calibrate(_config(package, two_shots, seed=4, overwrite=True), progress=stop)
    found = calibrate(_config(package, two_shots, seed=5, overwrite=True)).calibration
    assert found == expected


def test_damaged_state_is_begun_again(package: Path, two_shots: Path) -> None:
    expected = calibrate(_config(package, two_shots)).calibration
    (package / ".calibration.vsrc-resume").write_bytes(b"x" * 100)
    assert calibrate(_config(package, two_shots, overwrite=True)).calibration == expected


def test_sensitivity_names_each_convolution_and_the_costliest_first(
    package: Path, two_shots: Path
) -> None:
    result = calibrate(_config(package, two_shots, sensitivity=True, min_psnr=1.0))
    assert sorted(one.key for one in result.sensitivities) == sorted(KEYS)
    shares = [one.share for one in result.sensitivities]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)
    # One alone costs less than all together.
    assert result.calibration.psnr_db is not None
    assert all(
        one.psnr_db and one.psnr_db > result.calibration.psnr_db for one in result.sensitivities
    )
    assert result.calibration.float_layers == ()
    picture = (package / "reports/sensitivity.png").read_bytes()
    assert picture.startswith(b"\x89PNG")


def test_least_set_of_layers_stays_in_float(package: Path, two_shots: Path) -> None:
    free = calibrate(_config(package, two_shots, min_psnr=1.0)).calibration.psnr_db
    assert free is not None
    wanted = free + 2
    result = calibrate(_config(package, two_shots, min_psnr=wanted, overwrite=True))
    found = result.calibration
    assert found.psnr_db is not None
    assert found.psnr_db >= wanted
    assert 0 < len(found.float_layers) < len(KEYS)
    # With one fewer, the cheapest of them int8 again, it is missed.
    ranked = [one.key for one in result.sensitivities]
    kept = tuple(key for key in ranked if key in found.float_layers)[:-1]
    fewer = calibrate(
        _config(package, two_shots, min_psnr=1.0, float_layers=kept, overwrite=True)
    ).calibration.psnr_db
    assert fewer is not None
    assert fewer < wanted


def test_learnt_ranges_are_taken_as_they_are(package: Path, two_shots: Path) -> None:
    learnt = Calibration(
        QAT, dict.fromkeys(KEYS[1:-1], (0.0, 0.8)), float_layers=("encoder", "tail")
    )
    path = write_calibration(package, learnt)
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**data, "teacher": "kept"}), encoding="utf-8")
    found = calibrate(_config(package, two_shots)).calibration
    assert (found.method, found.ranges) == (QAT, learnt.ranges)
    assert found.float_layers == ("encoder", "tail")
    assert set(found.outputs) == set(KEYS)
    assert json.loads(path.read_text(encoding="utf-8"))["teacher"] == "kept"
    anew = calibrate(_config(package, two_shots, overwrite=True)).calibration
    assert anew.method == "minmax"


def test_second_calibration_is_refused_unless_told(package: Path, two_shots: Path) -> None:
    calibrate(_config(package, two_shots))
    with pytest.raises(OutputError, match=r"student\.vsrc .*--overwrite"):
        calibrate(_config(package, two_shots))


def test_unknown_layer_is_refused(package: Path, two_shots: Path) -> None:
    with pytest.raises(MismatchError, match=r"'head' .*encoder, fusion"):
        calibrate(_config(package, two_shots, float_layers=("head",)))


def test_black_clips_end_in_one_line_and_no_file(
    package: Path, tmp_path: Path, write_video: Callable[..., Path]
) -> None:
    black = write_video(tmp_path / "black.mkv", [np.zeros((9, 40, 56, 3), np.uint8)])
    with pytest.raises(DataError, match="is black"):
        calibrate(_config(package, black))
    assert not (package / CALIBRATION_FILE).exists()


def test_record_that_is_no_record_is_refused(package: Path) -> None:
    path = package / CALIBRATION_FILE
    for text, reason in (
        ("{", "JSON"),
        ('{"method": "qat"}', "'ranges'"),
        ('{"method": "qat", "ranges": {"a": [2, 1]}}', r"ranges\.a .*2\.0, 1\.0"),
        ('{"schema_version": 99, "method": "qat", "ranges": {}}', "newer than"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(SpecError, match=reason):
            read_calibration(package)


def test_tile_shrinks_with_what_a_network_keeps_in_memory(package: Path) -> None:
    graph = open_package(package).spec.graphs["fp32"]
    model = onnx.load(package / "graphs/fp32.onnx")
    assert affordable_tile(model, graph, (270, 480), multiple=1) == (270, 480)
    rows, columns = affordable_tile(model, graph, (5400, 9600), multiple=4)
    assert rows % 4 == columns % 4 == 0
    assert 1000 < rows < 5400
    assert rows / columns == pytest.approx(9 / 16, rel=0.01)


def test_command_prints_the_table_and_the_next_step(package: Path, two_shots: Path) -> None:
    arguments = ["calibrate", str(package), str(two_shots), "--windows", "4", "--sensitivity"]
    done = CliRunner().invoke(main, [*arguments, "--threads", "1", "--min-psnr", "1"])
    assert done.exit_code == 0, done.output
    assert "PSNR, it alone int8" in done.stdout
    assert "body.3" in done.stdout
    assert "4 windows from 2 shots of 1 clip" in done.stdout
    assert "warning: " in done.stderr
    assert " 4 windows" in done.stderr


def test_command_without_clips_is_a_usage_error(package: Path) -> None:
    done = CliRunner().invoke(main, ["calibrate", str(package)])
    assert done.exit_code == 2
    assert "no calibration clips" in done.stderr
