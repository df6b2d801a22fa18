"""Int8 from calibration to a checked graph, as a user goes there."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import onnx
import pytest
import torch
from click.testing import CliRunner

from vsrc.calibration.calibrating import calibrate
from vsrc.calibration.calibration_config import CalibrationConfig
from vsrc.calibration.calibration_file import read_calibration, write_calibration
from vsrc.cli import main
from vsrc.compressor.network_package import write_package
from vsrc.compressor.networks.video.edge import edge
from vsrc.export.config import ExportConfig
from vsrc.export.graphs.check_frames import real_window
from vsrc.export.runs.exporting import export
from vsrc.runtime.package import open_package
from vsrc.runtime.sample import SAMPLE_CLIP

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


def test_without_ranges_the_line_names_the_command(tiny_package: Path) -> None:
    done = CliRunner().invoke(main, ["export", str(tiny_package), "--precision", "int8-cpu"])
    assert done.exit_code == 1
    (line,) = done.stderr.strip().splitlines()
    assert "has no ranges, and int8 needs them: run vsrc calibrate" in line
    assert "--calib" in line


@pytest.mark.slow
def test_clips_can_be_named_at_once(untrained_package: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(untrained_package, tmp_path / "copy.vsrc"))
    clip = tmp_path / "frames"
    clip.mkdir()
    write_frames(clip)
    config = ExportConfig(
        copy, precision="int8-cpu", shape=SHAPE, halves=False, calib=(clip,), allow_lossy=True
    )
    export(config)
    assert set(open_package(copy).spec.graphs) == {"fp32", "int8-cpu"}
    assert read_calibration(copy) is not None


def write_frames(folder: Path) -> None:
    from vsrc.runtime.report.before_after import png_bytes
    from vsrc.runtime.sample import sample_frames

    for index, frame in enumerate(sample_frames(12)):
        (folder / f"{index:03}.png").write_bytes(png_bytes(frame[:48, :64]))
