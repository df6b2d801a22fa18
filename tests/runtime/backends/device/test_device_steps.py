"""A state on a device: the order of copies and runs, judged by ONNX Runtime frame by frame.

The device is a stand-in (reordering_gpu.py), which does work as late and in as many orders as
streams and events allow.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from support.reordering_gpu import HostEngine, ReorderingGpu
from vsrc.cli import main
from vsrc.runtime.backends.device.device_steps import DeviceSteps
from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.package import Package, open_package
from vsrc.runtime.windows.session import Session
from vsrc.runtime.windows.state_session import StateSession
from vsrc.runtime.windows.upscale import upscale_frames

Frames = NDArray[np.uint8]
CUTS = (4,)


@pytest.fixture
def frames() -> Frames:
    return np.random.default_rng(0).integers(0, 256, (9, 12, 16, 3), dtype=np.uint8)


def opened(
    package: Package, gpu: ReorderingGpu, *, is_capturable: bool = True
) -> tuple[StateSession, HostEngine]:
    path, graph = package.graph("fp32")
    engine = HostEngine(gpu, path, is_capturable=is_capturable)
    network = package.spec.network
    steps = DeviceSteps(gpu, [(engine, graph)], network=network, label="stand-in fp32")
    return StateSession(steps), engine


def pictures(frames: Frames, session: Session) -> Frames:
    sources = (SourceFrame(rgb, pts=at, starts_shot=at in CUTS) for at, rgb in enumerate(frames))
    made = [np.asarray(result.rgb, np.uint8) for result in upscale_frames(sources, session)]
    session.close()
    return np.stack(made)


@pytest.mark.parametrize("is_capturable", [True, False])
def test_any_order_that_the_device_may_take_gives_the_pictures_of_the_cpu(
    state_package: Path, frames: Frames, is_capturable: bool
) -> None:
    package = open_package(state_package)
    expected = pictures(frames, package.session())
    for seed in range(6):
        gpu = ReorderingGpu(seed)
        session, engine = opened(package, gpu, is_capturable=is_capturable)
        assert session.ahead == 1
        np.testing.assert_array_equal(pictures(frames, session), expected)
        assert (gpu.held_bytes, gpu.handles) == (0, 0)
        assert engine.runs == len(frames)
        assert (gpu.launches > 0) == is_capturable


def test_tiles_take_their_states_through_the_host(state_package: Path, frames: Frames) -> None:
    package = open_package(state_package)
    session, _ = opened(package, ReorderingGpu(1))
    found = pictures(frames, session.tiled(10))
    assert np.abs(found.astype(int) - pictures(frames, package.session())).max() <= 1


def test_the_last_two_states_can_be_read_and_given_back(
    state_package: Path, frames: Frames
) -> None:
    package = open_package(state_package)
    here, there = package.session(), opened(package, ReorderingGpu(2))[0]
    assert isinstance(here, StateSession)
    window = frames[:2][None]
    for session in (here, there):
        session.start(window)
        session.start(window)
    expected, found = here.state(), there.state()
    assert expected is not None
    assert found is not None
    np.testing.assert_array_equal(found["state"], expected["state"])
    exact, _ = opened(package, ReorderingGpu(3))  # from the state before, and with what follows
    sr = there.redo(exact, window)
    np.testing.assert_array_equal(sr, here.redo(package.session(), window))  # type: ignore[arg-type]
    np.testing.assert_array_equal(there.start(window)(), here.start(window)())


def test_an_engine_of_it_is_built_found_and_run(
    state_package: Path,
    tmp_path: Path,
    frames: Frames,
    stand_in: Callable[[Path], list[ReorderingGpu]],
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
    path = tmp_path / "state.vsrc"
    shutil.copytree(state_package, path)
    asked = ["export", str(path), "--format", "trt-rtx", "--precision", "fp32", "--shape", "12x16"]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.output
    stand_in(path)
    expected = pictures(frames, open_package(state_package).session())
    session = open_package(path).session(backend="trt-rtx", precision="fp32")
    assert isinstance(session, StateSession)
    assert isinstance(session.steps, DeviceSteps)
    np.testing.assert_array_equal(pictures(frames, session), expected)
