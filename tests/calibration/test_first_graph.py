"""`vsrc calibrate` of a package that was not exported yet."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner

from support.optional import skip_without
from vsrc.cli import main
from vsrc.runtime.package import open_package


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mkv"
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    frames = [np.roll(noise, step, axis=1) for step in range(5)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            container.mux(stream.encode(picture.reformat(format="bgr0", threads=1)))
        container.mux(stream.encode(None))
    return path


def test_the_fp32_graph_is_written_first(
    untrained_package: Path, tmp_path: Path, clip: Path
) -> None:
    skip_without("torch", "onnx", "onnxscript", "onnxruntime")
    package = tmp_path / "student.vsrc"
    shutil.copytree(untrained_package, package)
    done = CliRunner().invoke(main, ["calibrate", str(package), str(clip)])
    assert done.exit_code == 0, done.output
    assert "writing the fp32 graph" in done.stderr
    assert "fp32" in open_package(package).spec.graphs
    assert (package / "calibration.json").is_file()


def test_missing_clips_are_noticed_before_the_graph_is_written(
    untrained_package: Path, tmp_path: Path
) -> None:
    package = tmp_path / "student.vsrc"
    shutil.copytree(untrained_package, package)
    done = CliRunner().invoke(main, ["calibrate", str(package), str(tmp_path / "none.mkv")])
    assert (done.exit_code, "none.mkv does not exist" in done.stderr) == (1, True)
    assert not open_package(package).spec.graphs
