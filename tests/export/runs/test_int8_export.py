"""Int8 from calibration to a checked graph, as a user goes there."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner

from support.error_lines import error_line
from vsrc.calibration.calibrating import calibrate
from vsrc.calibration.calibration_config import CalibrationConfig
from vsrc.calibration.calibration_file import read_calibration, write_calibration
from vsrc.cli import main
from vsrc.compressor.network_package import write_package
from vsrc.compressor.networks.video.edge import edge
from vsrc.export.config import ExportConfig, ExportStep
from vsrc.export.graphs.check_frames import real_window
from vsrc.export.packing.config import OwnNetwork
from vsrc.export.packing.packing import pack
from vsrc.export.runs.exporting import export
from vsrc.runtime.backends.opening import open_session
from vsrc.runtime.errors import SpecError
from vsrc.runtime.package import open_package
from vsrc.runtime.picture.bicubic import downscale
from vsrc.runtime.sample import SAMPLE_CLIP, sample_frames

SHAPE = ((24, 32),)


@pytest.fixture(scope="module")
def calibrated(tiny_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with ranges; few windows, small ones."""
    path = tmp_path_factory.mktemp("int8") / "student.vsrc"
    shutil.copytree(tiny_package, path)
    calibrate(CalibrationConfig(path, clips=(SAMPLE_CLIP,), windows=6, tile=(48, 64), min_psnr=0))
    return path


@pytest.fixture
def copy(calibrated: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(calibrated, tmp_path / "copy.vsrc"))


@pytest.mark.parametrize(
    ("precision", "int8_with", "opset"),
    [("int8", "fp16", 19), ("int8", "fp32", 18), ("int8-cpu", "fp16", 18)],
)
def test_calibrated_ranges_become_a_graph_that_agrees(
    copy: Path, precision: str, int8_with: str, opset: int
) -> None:
    config = ExportConfig(copy, shape=SHAPE, halves=False)
    asked = {"precision": precision, "int8_with": int8_with}
    result = export(dataclasses.replace(config, **asked))  # type: ignore[arg-type]
    (written,) = result.graphs
    assert result.worst_db > 40
    assert written.graph.opset == opset
    assert open_package(copy).spec.graphs[precision].precision == precision
    model = onnx.load(written.file)
    operators = [node.op_type for node in model.graph.node]
    assert operators.count("QuantizeLinear") >= operators.count("Conv") - 1
    assert f'"precision": "{precision}"' in model.metadata_props[0].value


def test_stacking_student_computes_on_bytes_and_agrees(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = edge(features=8, blocks=1, scale=2, window=3)
    package = write_package(network, tmp_path / "stacking.vsrc")
    export(ExportConfig(package))
    calibrate(
        CalibrationConfig(package, clips=(SAMPLE_CLIP,), windows=6, tile=(48, 64), min_psnr=0)
    )
    result = export(ExportConfig(package, precision="int8-cpu", shape=SHAPE))
    assert result.worst_db > 42
    (written,) = result.graphs
    kinds = {node.op_type for node in onnx.load(written.file).graph.node}
    assert not kinds & {"Resize", "Cast", "Clip", "Round", "Add"}
    session = open_package(package).session(precision="int8-cpu")
    assert session(real_window(3, height=24, width=32)).shape == (1, 48, 64, 3)


def test_ranges_of_other_weights_are_refused_before_the_work(copy: Path) -> None:
    found = read_calibration(copy)
    assert found is not None
    write_calibration(copy, dataclasses.replace(found, weights_sha256="0" * 64))
    done = CliRunner().invoke(main, ["export", str(copy), "--precision", "int8"])
    assert done.exit_code == 1
    assert "other weights" in done.stderr
    assert "vsrc calibrate" in done.stderr
    assert not (copy / "graphs/int8.onnx").exists()


def test_new_calibration_makes_int8_graphs_stale_and_they_are_not_run(
    copy: Path, tmp_path: Path
) -> None:
    runner = CliRunner()
    frames = tmp_path / "clip"
    frames.mkdir()
    write_frames(frames)
    export(ExportConfig(copy, precision="int8-cpu", shape=SHAPE, halves=False))
    share = open_package(copy).spec.graphs["int8-cpu"].int8_share
    assert share is not None
    assert 0.9 < share <= 1
    same = ["calibrate", str(copy), str(SAMPLE_CLIP), "--windows", "6", "--min-psnr", "0"]
    other = ["calibrate", str(copy), str(frames), "--windows", "4", "--overwrite"]
    assert runner.invoke(main, same).exit_code == 2  # there is one, and it stays
    assert not open_package(copy).spec.graphs["int8-cpu"].stale
    done = runner.invoke(main, other)
    assert done.exit_code == 0, done.stderr
    assert "stale, not run until exported again: int8-cpu" in done.stdout
    package = open_package(copy)
    assert package.spec.graphs["int8-cpu"].stale
    assert not package.spec.graphs["fp32"].stale
    said: list[str] = []
    session = open_session(package, say=said.append)
    assert session.label.endswith("fp32")
    assert "int8-cpu (it is older than the calibration)" in said[0]
    with pytest.raises(SpecError, match=r"int8-cpu graph is stale.*vsrc export .* int8-cpu"):
        package.session(precision="int8-cpu")
    assert "STALE" in runner.invoke(main, ["inspect", str(copy)]).stdout
    again = runner.invoke(main, other)  # the same ranges: nothing new to mark
    assert again.exit_code == 0
    written = runner.invoke(
        main, ["export", str(copy), "--precision", "int8-cpu", "--shape", "24x32", "--no-halves"]
    )
    assert written.exit_code == 0, written.stderr  # without --overwrite
    assert not open_package(copy).spec.graphs["int8-cpu"].stale
    assert open_package(copy).session(precision="int8-cpu").label
    assert runner.invoke(main, other).exit_code == 0
    assert not open_package(copy).spec.graphs["int8-cpu"].stale  # the file did not change


@pytest.mark.slow
def test_int8_that_loses_against_ground_truth_is_not_written(cases: Path, tmp_path: Path) -> None:
    # 41 to 42 dB from fp32, and 0.6 to 1.3 dB further from ground truth.
    runner, package = CliRunner(), tmp_path / "etds.vsrc"
    pack = ["pack", str(cases / "networks/ETDS_M4C32_x2.pth"), "-o", str(package)]
    assert runner.invoke(main, pack).exit_code == 0
    calibrate(CalibrationConfig(package, clips=(SAMPLE_CLIP,), windows=8, tile=(90, 160)))
    command = ["export", str(package), "--precision", "int8-cpu"]
    done = runner.invoke(main, command)
    assert done.exit_code == 4
    assert re.search(r"has -\d\.\d\d dB against ground truth .* the limit is -0\.1 dB", done.stderr)
    assert not (package / "graphs/int8-cpu.onnx").exists()
    assert "int8-cpu" not in open_package(package).spec.graphs
    done = runner.invoke(main, [*command, "--max-loss", "2"])
    assert done.exit_code == 0, done.stderr
    graph = open_package(package).spec.graphs["int8-cpu"]
    assert not graph.lossy
    assert graph.int8_share is not None
    assert graph.int8_share >= 0.5
    assert f"{100 * graph.int8_share:.0f} % of its multiply-accumulates are int8" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "max_loss"), [("etds_s_x4", 0.075), ("fsrcnn_x4", ExportConfig.max_loss)]
)
def test_layers_stay_in_float_until_little_is_lost(
    reference: Path, tmp_path: Path, name: str, max_loss: float
) -> None:
    package = tmp_path / f"{name}.vsrc"
    pack(OwnNetwork(str(reference / f"weights/{name}.pth")), package)
    calibrate(CalibrationConfig(package, clips=(SAMPLE_CLIP,), windows=8, tile=(90, 160)))
    result = export(ExportConfig(package, precision="int8-cpu", max_loss=max_loss))
    (written,) = result.graphs
    assert written.float_layers
    assert written.graph.int8_share is not None
    assert written.graph.int8_share >= 0.5
    # The loss once more, from the pictures that users get, on another part of a frame.
    hr = sample_frames(1)[0][200:360, 320:640]
    lr = downscale(hr[None], 4)[:, None]
    opened = open_package(package)
    losses = {}
    for precision in ("fp32", "int8-cpu"):
        sr = opened.session(precision=precision)(lr)[0].astype(np.float64)
        losses[precision] = 10 * np.log10(255**2 / np.mean((sr - hr) ** 2))
    assert losses["fp32"] - losses["int8-cpu"] < 0.2  # the limit is for frames of the check


def test_without_ranges_the_line_names_the_command(tiny_package: Path) -> None:
    done = CliRunner().invoke(main, ["export", str(tiny_package), "--precision", "int8-cpu"])
    assert done.exit_code == 1
    line = error_line(done.stderr)
    assert "has no ranges, and int8 needs them: run vsrc calibrate" in line
    assert "--calib" in line


def calibrating(
    package: Path, folder: Path, precision: Literal["auto", "int8-cpu"]
) -> ExportConfig:
    """Settings that export a copy of a package and name frames to calibrate on."""
    clip = folder / "frames"
    clip.mkdir()
    write_frames(clip)
    copy = Path(shutil.copytree(package, folder / "copy.vsrc"))
    return ExportConfig(
        copy, precision=precision, shape=SHAPE, halves=False, calib=(clip,), allow_lossy=True
    )


@pytest.mark.slow
def test_clips_can_be_named_at_once(untrained_package: Path, tmp_path: Path) -> None:
    config = calibrating(untrained_package, tmp_path, "int8-cpu")
    export(config)
    assert set(open_package(config.package).spec.graphs) == {"fp32", "int8-cpu"}
    assert read_calibration(config.package) is not None


@pytest.mark.slow
def test_all_precisions_share_one_calibration(untrained_package: Path, tmp_path: Path) -> None:
    config = calibrating(untrained_package, tmp_path, "auto")
    steps: list[ExportStep] = []
    export(config, steps.append)
    fed = [step.done for step in steps if step.words == "calibrating: feed"]
    assert fed == sorted(set(fed))
    assert {"int8", "int8-cpu"} <= set(open_package(config.package).spec.graphs)


def write_frames(folder: Path) -> None:
    from vsrc.runtime.report.before_after import png_bytes
    from vsrc.runtime.sample import sample_frames

    for index, frame in enumerate(sample_frames(12)):
        (folder / f"{index:03}.png").write_bytes(png_bytes(frame[:48, :64]))
