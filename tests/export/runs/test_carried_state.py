"""Networks with a state, from torch to a video: judged against a loop in torch, frame by frame."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray

from support.carried import open_own_module, rrn, slow_loop
from vsrc.calibration import CalibrationConfig, calibrate
from vsrc.calibration.observer import Observer
from vsrc.cli import main
from vsrc.compressor.network_package import write_package
from vsrc.compressor.networks import create
from vsrc.compressor.networks.loading.find_network import find_network
from vsrc.compressor.networks.loading.packaged import from_package
from vsrc.export import ExportConfig, export
from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.package import Package, open_package
from vsrc.runtime.picture.likeness import psnr
from vsrc.runtime.sample import SAMPLE_CLIP, sample_frames
from vsrc.runtime.spec import StateSpec
from vsrc.runtime.windows.state_session import StateSession
from vsrc.runtime.windows.upscale import upscale_frames

if TYPE_CHECKING:
    from vsrc.runtime.windows.session import Session

Frames = NDArray[np.uint8]
CUTS = (5,)


@pytest.fixture(scope="module")
def frames() -> Frames:
    return np.ascontiguousarray(sample_frames(9)[:, 100:138, 200:260])


@pytest.fixture(scope="module")
def package(state_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Package:
    """Mobile RRN, with every graph that has no calibration to wait for."""
    path = tmp_path_factory.mktemp("rrn") / "rrn.vsrc"
    shutil.copytree(state_package, path)
    export(ExportConfig(path, precision="fp16"))
    return open_package(path)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Package]:
    """A user's network, whose state is half as large as the frame and stands in no spec."""
    folder = tmp_path_factory.mktemp("own")
    with open_own_module(folder) as name:
        torch.manual_seed(0)
        found = find_network(name, scale=2, weights=None, arguments={})
        path = write_package(found.network, folder / "own.vsrc", found.spec)
        export(ExportConfig(path, allow_code=True))
        yield open_package(path)


def pictures(frames: Frames, session: Session, cuts: tuple[int, ...] = CUTS) -> Frames:
    sources = (SourceFrame(rgb, pts=at, starts_shot=at in cuts) for at, rgb in enumerate(frames))
    made = [np.asarray(result.rgb, np.uint8) for result in upscale_frames(sources, session)]
    session.close()
    return np.stack(made)


def assert_within_one(found: Frames, expected: Frames) -> None:
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 1  # a value near a half may be rounded either way
    assert np.mean(difference > 0) < 0.01


def test_the_state_matters(frames: Frames) -> None:
    with_state, without = slow_loop(rrn(), frames), slow_loop(rrn(), frames, range(9))
    assert psnr(with_state[-1], without[-1]) < 40


def test_its_graph_gives_what_the_loop_gives(package: Package, frames: Frames) -> None:
    assert package.spec.network.state == (StateSpec("state", 8),)
    expected = slow_loop(rrn(), frames, CUTS)
    assert_within_one(pictures(frames, package.session(precision="fp32")), expected)
    tiled = package.session(precision="fp32")
    assert isinstance(tiled, StateSession)
    assert_within_one(pictures(frames, tiled.tiled(16)), expected)


def test_half_precision_carries_half_maps(package: Package, frames: Frames) -> None:
    path, _ = package.graph("fp16")
    graph = onnx.load(path).graph
    values = (*graph.input, *graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    assert types["state"] == types["next_state"] == onnx.TensorProto.FLOAT16
    assert types["lr"] == types["sr"] == onnx.TensorProto.UINT8
    found = pictures(frames, package.session(precision="fp16"))
    assert psnr(found, slow_loop(rrn(), frames, CUTS)) > 50


def test_a_network_of_ones_own_needs_no_more_than_its_forward(own: Package, frames: Frames) -> None:
    assert own.spec.network.state == (StateSpec("hidden", 6, 2),)
    network = from_package(own, allow_code=True)
    expected = slow_loop(network, frames, CUTS)
    assert_within_one(pictures(frames, own.session()), expected)


def test_int8_is_calibrated_on_states_as_in_a_video(package: Package, tmp_path: Path) -> None:
    path = tmp_path / "rrn.vsrc"
    shutil.copytree(package.path, path)
    calibrate(CalibrationConfig(path, (SAMPLE_CLIP,), windows=4, tile=(32, 48), threads=1))
    export(ExportConfig(path, precision="int8-cpu", min_psnr=30.0))
    frames = np.ascontiguousarray(sample_frames(6)[:, 100:138, 200:260])
    found = pictures(frames, open_package(path).session(precision="int8-cpu"), ())
    assert psnr(found, slow_loop(rrn(), frames)) > 30


def test_calibration_observes_the_last_frame_with_the_state_of_those_before(
    package: Package, frames: Frames
) -> None:
    windows = frames[np.maximum(np.arange(9)[:, None] + [-1, 0], 0)]
    observer = Observer(onnx.load(package.graph("fp32")[0]), threads=1)
    observer.see(windows)
    network, seen = rrn(), []
    network.state.register_forward_hook(lambda *given: seen.append(given[2]))
    slow_loop(network, frames)
    expected = float(seen[-1].min()), float(seen[-1].max())
    found = observer.outputs["state"].low, observer.outputs["state"].high
    assert found == pytest.approx(expected, rel=1e-4)


def test_float_edges_take_it_too(package: Package, tmp_path: Path, frames: Frames) -> None:
    path = tmp_path / "rrn.vsrc"
    shutil.copytree(package.path, path)
    export(ExportConfig(path, io="float"))
    session = open_package(path).session(precision="fp32-float")
    assert_within_one(pictures(frames, session), slow_loop(rrn(), frames, CUTS))


def test_both_directions_have_no_graph(tmp_path: Path) -> None:
    network = create("mobile-rrn", scale=2, features=8, blocks=1, both_directions=True)
    path = write_package(network, tmp_path / "both.vsrc")
    with pytest.raises(MismatchError, match="both directions"):
        export(ExportConfig(path))


def test_bench_measures_a_step_and_inspect_shows_the_state(package: Package) -> None:
    asked = ["bench", str(package.path), "--shape", "24x32", "--iterations", "3", "--runs", "1"]
    done = CliRunner().invoke(main, [*asked, "--precision", "fp32", "--json", "-"])
    assert done.exit_code == 0, done.output
    shown = CliRunner().invoke(main, ["inspect", str(package.path)])
    assert "state: 8 channels of the frame" in shown.output
