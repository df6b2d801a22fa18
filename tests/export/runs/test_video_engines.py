"""Engines that convert and check frames on the device: built for real, with TensorRT for RTX.

Where one runs, a stand-in takes the place of the device, and ONNX Runtime that of the engine.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from support.reordering_gpu import ADA, HostEngine, ReorderingGpu
from vsrc.cli import main
from vsrc.export.config import ExportConfig
from vsrc.export.engines.builder import Builder
from vsrc.export.graphs.colour_graphs import GRAPHS, colour_graph
from vsrc.export.graphs.guard_graph import guard_graph
from vsrc.export.runs import video_engines
from vsrc.export.runs.result import ExportedEngine
from vsrc.export.runs.video_engines import build_video_engines
from vsrc.runtime.backends.device.engine_file import check_engine, read_engine_spec
from vsrc.runtime.backends.device.engines import Here
from vsrc.runtime.backends.device.video_engines import from_rgb_name, open_guard, to_rgb_name
from vsrc.runtime.errors import GateError, MissingDependencyError
from vsrc.runtime.package import open_package

trt_rtx = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")

SIZES = ((9, 20), (33, 48), (64, 96))
HERE = Here("trt-rtx", trt_rtx.__version__, ADA)


@pytest.fixture
def copy(tiny_package: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_package, tmp_path / "copy.vsrc"))


def build(package: Path, *, overwrite: bool = False) -> dict[str, ExportedEngine]:
    builder = Builder("trt-rtx", trt_rtx.__version__, None, ("8.9",), None)
    config = ExportConfig(package, format="trt-rtx", shape=SIZES, video=True, overwrite=overwrite)
    made = build_video_engines(open_package(package), builder, config, lambda _: None)
    return {each.spec.target.graph: each for each in made}


def test_all_build_for_even_sizes_from_16_pixels_on(copy: Path) -> None:
    made = build(copy)
    names = {to_rgb_name(layout, is_left=True) for layout in ("nv12", "p010le")}
    names |= {from_rgb_name(layout) for layout in ("nv12", "p010le")}
    assert names <= set(GRAPHS)
    assert set(made) == names | {"nv12-to-rgb-centre", "guard-x2"}
    assert made["p010-to-rgb-left"].spec.target.shapes["uv"] == (
        (8, 10, 2, 2), (17, 24, 2, 2), (32, 48, 2, 2)
    )  # fmt: skip
    assert made["rgb-to-nv12-left"].spec.target.shapes["rgb"] == (
        (32, 40, 3), (68, 96, 3), (128, 192, 3)
    )  # fmt: skip
    assert made["guard-x2"].spec.target.shapes["sr"][0] == (32, 40, 3)
    for each in made.values():
        assert each.built
        assert each.spec.role == "video"
        assert check_engine(each.file).not_compared.startswith("no device: ")
        assert each.file.stat().st_size < 4 << 20
    again = build(copy)
    assert not any(each.built for each in again.values())


def test_without_the_flag_a_video_lacks_them(copy: Path) -> None:
    with pytest.raises(MissingDependencyError, match=r"copy\.vsrc holds no trt-rtx guard-x2"):
        open_guard(open_package(copy), HERE, 2, (24, 32))
    asked = ["export", str(copy), "--video"]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 2
    assert "--video builds engines: add --format trt, or trt-rtx" in done.output


@pytest.mark.parametrize("offset", [0, 1, 2])
def test_samples_that_differ_by_more_than_one_are_refused(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offset: int
) -> None:
    gpus: list[ReorderingGpu] = []

    def gpu(_: object) -> ReorderingGpu:
        gpus.append(ReorderingGpu(len(gpus)))
        return gpus[-1]

    def engine(path: Path, _: str) -> HostEngine:
        name = read_engine_spec(path).target.graph
        model = guard_graph(2) if name.startswith("guard") else colour_graph(name)
        file = tmp_path / f"{name}.onnx"
        file.write_bytes(model.SerializeToString())
        made = HostEngine(gpus[-1], file, is_capturable=False)
        run = made._session.run

        class Session:
            def run(self, names: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
                given: list[np.ndarray] = run(names, feeds)
                if name != "nv12-to-rgb-left":
                    return given
                return [np.where(given[0] > 100, given[0] - offset, given[0])]

        made._session = Session()
        return made

    monkeypatch.setattr(video_engines, "this_device", lambda *_: HERE)
    monkeypatch.setattr("vsrc.runtime.backends.device.cuda_gpu.CudaGpu", gpu)
    monkeypatch.setattr("vsrc.runtime.backends.device.trt_engine.TrtEngine", engine)
    if offset > 1:
        with pytest.raises(GateError, match="nv12-to-rgb-left engine differs by 2 of 255"):
            build(copy)
        assert not list((copy / "engines").glob("*"))
        return
    assert {each.spec.not_compared for each in build(copy).values()} == {""}
    assert all((one.held_bytes, one.handles) == (0, 0) for one in gpus)
