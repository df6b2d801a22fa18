"""OpenVINO's own API: the pictures of ONNX Runtime, in lanes, with a state, and in bf16."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from support.optional import skip_without
from vsrc.runtime.backends import opening
from vsrc.runtime.backends.graph_in_use import graph_of
from vsrc.runtime.backends.lane_trial import LanePlan
from vsrc.runtime.backends.opening import open_session, open_video_session
from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.errors import MissingDependencyError, SpecError
from vsrc.runtime.machine import has_bf16
from vsrc.runtime.package import open_package
from vsrc.runtime.pixels import Pixels8
from vsrc.runtime.spec import spec_from_text, spec_to_text
from vsrc.runtime.windows.session import Session
from vsrc.runtime.windows.state_session import StateSession
from vsrc.runtime.windows.tiles import TiledSession
from vsrc.runtime.windows.upscale import upscale_frames

needs_bf16 = pytest.mark.skipif(not has_bf16(), reason="this CPU does not multiply bfloat16")


@pytest.fixture
def openvino() -> None:
    skip_without("openvino")


def windows(count: int, window: int, seed: int = 0) -> Pixels8:
    shape = (count, window, 22, 30, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def upscaled(session: Session, frames: Pixels8) -> Pixels8:
    source = [SourceFrame(rgb, at, 1, starts_shot=at == 4) for at, rgb in enumerate(frames)]
    results = upscale_frames(iter(source), TiledSession(session))
    return np.stack([result.rgb for result in results if result.rgb is not None])


@pytest.mark.usefixtures("openvino")
def test_pictures_are_those_of_onnxruntime(tiny_package: Path) -> None:
    package = open_package(tiny_package)
    lr = windows(2, package.spec.network.window)
    with (
        closing(open_session(package, backend="openvino", precision="fp32")) as session,
        closing(open_session(package, backend="ort", precision="fp32")) as judge,
    ):
        assert session.label == "openvino fp32"
        # Another order of the sums in float32: at most one step of 255 where it rounds.
        assert np.abs(session(lr).astype(int) - judge(lr)).max() <= 1
    with pytest.raises(RuntimeError, match="closed"):
        session(lr)


@pytest.mark.usefixtures("openvino")
def test_lanes_change_no_byte(tiny_package: Path) -> None:
    package = open_package(tiny_package)
    frames = windows(1, 24)[0]
    results = []
    for threads in (1, 3):
        with closing(
            open_video_session(package, backend="openvino", precision="fp32", threads=threads)
        ) as session:
            results.append(upscaled(session, frames))
    np.testing.assert_array_equal(results[0], results[1])


@pytest.mark.usefixtures("openvino")
def test_a_state_is_carried_as_by_onnxruntime(state_package: Path) -> None:
    package = open_package(state_package)
    frames = windows(1, 9)[0]
    results = []
    for backend in ("openvino", "ort"):
        with closing(open_video_session(package, backend=backend, precision="fp32")) as session:
            assert isinstance(session, StateSession)
            source = [SourceFrame(rgb, at, 1, starts_shot=at == 4) for at, rgb in enumerate(frames)]
            made = upscale_frames(iter(source), session)
            results.append(np.stack([frame.rgb for frame in made if frame.rgb is not None]))
    assert np.abs(results[0].astype(int) - results[1]).max() <= 1


@needs_bf16
@pytest.mark.usefixtures("openvino")
def test_bf16_is_named_wherever_a_result_is_of_it(tiny_package: Path) -> None:
    package = open_package(tiny_package)
    with closing(open_video_session(package, precision="bf16")) as session:
        used = graph_of(session)
        # The plugin of ONNX Runtime comes first, where it offers this CPU.
        assert used.backend in ("openvino", "ort:openvino/cpu")
        assert used.precision == "bf16"
        assert used.file == package.spec.graphs["fp32"].file
        assert session.label == f"{used.backend} bf16"
        # What a job is recognised by when it is resumed.
        assert session.graph != package.spec.graphs["fp32"]
        lr = windows(1, package.spec.network.window)
        in_bf16 = session(lr).astype(int)
    with closing(open_session(package, backend="openvino", precision="fp32")) as session:
        difference = np.abs(in_bf16 - session(lr)).max()
    assert 0 < difference <= 8  # 8 bits of mantissa: not fp32, but close


@pytest.mark.parametrize("backend", ["ort", "trt", "ort-cuda", "ort:qnn"])
def test_bf16_is_refused_where_precision_is_in_the_graph(tiny_package: Path, backend: str) -> None:
    with pytest.raises(ValueError, match="openvino"):
        open_video_session(open_package(tiny_package), backend=backend, precision="bf16")


def test_bf16_on_a_cpu_without_it_is_status_3(
    tiny_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "has_bf16", lambda: False)
    for backend in ("auto", "openvino"):
        with pytest.raises(MissingDependencyError, match="bf16") as caught:
            open_session(open_package(tiny_package), backend=backend, precision="bf16")
        assert caught.value.exit_status == 3


def test_no_file_is_in_bf16(tiny_package: Path) -> None:
    text = spec_to_text(open_package(tiny_package).spec)
    changed = text.replace('"precision": "fp32"', '"precision": "bf16"')
    assert changed != text
    with pytest.raises(SpecError, match="bf16"):
        spec_from_text(changed, where="model.json")


@pytest.mark.usefixtures("openvino")
def test_a_graph_that_openvino_cannot_read_is_named(tmp_path: Path) -> None:
    from vsrc.runtime.backends.openvino_session import CompiledGraph
    from vsrc.runtime.errors import MismatchError

    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(MismatchError, match=r"broken\.onnx"):
        CompiledGraph(path, precision="fp32", plan=LanePlan(1, 1))
