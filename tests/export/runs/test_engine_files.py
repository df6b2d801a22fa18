"""Engines are judged by their pictures before they are written.

NVIDIA's builder for RTX takes the place of TensorRT's: it has the same API, and builds without a
GPU. What runs is a stand-in for the device (reordering_gpu.py) with ONNX Runtime in the place of
the loaded engine, so that an engine that computes something else can be made at will.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from support.reordering_gpu import ADA, HostEngine, ReorderingGpu
from vsrc.export.checks.engine_pictures import try_engine
from vsrc.export.config import ExportConfig
from vsrc.export.engines import engine_build
from vsrc.export.engines.engine_build import BuiltEngine
from vsrc.export.engines.layer_report import LayerReport, inspect_layers
from vsrc.export.runs import engine_export, engine_files
from vsrc.export.runs.exporting import export
from vsrc.export.runs.text import export_text
from vsrc.runtime.backends.device.engine_file import engine_text, read_engine_spec
from vsrc.runtime.errors import GateError, MismatchError, VsrcError
from vsrc.runtime.hashing import bytes_sha256
from vsrc.runtime.package import open_package, write_spec

trt_rtx = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")

SHAPE = ((16, 16), (24, 32), (32, 48))
StandIn = Callable[..., list[ReorderingGpu]]


@pytest.fixture(scope="module")
def exported(halves_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with fp32 and fp16 graphs of the whole and of both halves."""
    path = tmp_path_factory.mktemp("engines") / "student.vsrc"
    shutil.copytree(halves_package, path)
    export(ExportConfig(path, precision="fp16"))
    return path


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "copy.vsrc"))


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT 10.13 and a GPU, by name."""
    module = ModuleType("tensorrt")
    vars(module).update(vars(trt_rtx), __version__="10.13.0")
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.setattr("vsrc.runtime.backends.device.engines.cuda_device", lambda _: ADA)
    built = engine_build._configure

    def configure(module: Any, config: Any, order: Any) -> object:  # noqa: ANN401
        engine_build._set_gpus(module, config, ("8.9",))  # RTX builds for this machine otherwise
        return built(module, config, order)

    monkeypatch.setattr(engine_build, "_configure", configure)


class Darker(HostEngine):
    """An engine whose pictures are wrong."""

    def enqueue(self, stream: Any) -> None:  # noqa: ANN401
        super().enqueue(stream)
        if "sr" not in self.outputs:
            return
        address, shape = self._bound["sr"], self._shapes["sr"]

        def do() -> None:
            values = self._gpu.read(address, shape, np.dtype(np.uint8))
            values[...] = values // 2

        work = type(self._gpu._streams[stream][-1])
        self._gpu.give(stream, work(do, name="network"))


def config_for(path: Path, **more: Any) -> ExportConfig:  # noqa: ANN401
    return ExportConfig(path, format="trt", precision="fp16", shape=SHAPE, **more)


@pytest.mark.filterwarnings("ignore:.*Timing cache operations:DeprecationWarning")
@pytest.mark.usefixtures("device")
def test_pictures_are_compared_before_an_engine_is_written(copy: Path, stand_in: StandIn) -> None:
    gpus = stand_in(copy)
    result = export(config_for(copy))
    assert [one.spec.role for one in result.engines] == ["whole", "encode", "fuse"]
    assert len(gpus) == 2  # the whole, and the pair
    assert all((gpu.held_bytes, gpu.handles) == (0, 0) for gpu in gpus)
    for one in result.engines:
        spec = read_engine_spec(one.file)
        sizes = [(each.height, each.width, each.frames) for each in spec.compared]
        assert sizes == [(16, 16, 24), (24, 32, 24)]
        assert spec.not_compared == ""
        assert all(each.psnr_db is None or each.psnr_db > 50 for each in spec.compared)
        # Without a GPU the inspector cannot load the engine: a note, and the graph is the proof.
        assert spec.precision_from == "graph"
        assert any("could not be inspected" in note for note in spec.notes)
    text = export_text(result, Path("student.vsrc"))
    assert "output: " in text
    assert "against the same graph on the CPU" in text


@pytest.mark.filterwarnings("ignore:.*Timing cache operations:DeprecationWarning")
@pytest.mark.usefixtures("device")
def test_wrong_pictures_are_refused_and_nothing_is_written(copy: Path, stand_in: StandIn) -> None:
    stand_in(copy, Darker)
    with pytest.raises(GateError, match=r"fp16 engine's pictures .* limit is 50 dB"):
        export(config_for(copy))
    assert not (copy / "engines").exists()
    result = export(config_for(copy, allow_lossy=True))
    assert all(one.spec.lossy for one in result.engines)


@pytest.mark.filterwarnings("ignore:.*Timing cache operations:DeprecationWarning")
@pytest.mark.usefixtures("device")
def test_a_wrong_half_is_refused_by_the_pictures_of_the_pair(
    copy: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(copy, Darker)
    monkeypatch.setattr(engine_files, "_networks", lambda drafts: [drafts[1:]])
    with pytest.raises(GateError, match=r"encode-fp16 \+ fuse-fp16 engine's pictures"):
        export(config_for(copy))
    assert not (copy / "engines").exists()


@pytest.mark.filterwarnings("ignore:.*Timing cache operations:DeprecationWarning")
@pytest.mark.usefixtures("device")
def test_a_key_that_told_no_chips_apart_is_a_rebuild_said_in_one_line(
    copy: Path, stand_in: StandIn
) -> None:
    stand_in(copy)
    config = replace(config_for(copy), halves=False)
    (first,) = export(config).engines
    assert first.instead == ""
    assert first.spec.target.memory_gb == 24
    target = replace(first.spec.target, multiprocessors=None, board=None, memory_gb=None)
    assert target.key != first.spec.key
    old = first.file.with_name(f"{target.key}.engine")
    first.file.rename(old)
    sidecar = engine_text(replace(first.spec, key=target.key, target=target))
    old.with_suffix(".json").write_text(sidecar)
    first.file.with_suffix(".json").unlink()
    result = export(config)
    (second,) = result.engines
    assert second.built
    assert second.file == first.file
    (line,) = [line for line in export_text(result, copy).splitlines() if "built again" in line]
    assert re.search(rf"{target.key}\.engine was built by an older vsrc, .*number of SMs", line)


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize(
    ("step", "module"),
    [("input_shapes", engine_export), ("build_engine", engine_files), ("_try", engine_files)],
)
@pytest.mark.parametrize(("opset", "is_advised"), [(19, True), (18, False)])
def test_where_half_scales_do_not_build_the_line_names_the_way_around(
    copy: Path,
    monkeypatch: pytest.MonkeyPatch,
    opset: int,
    is_advised: bool,
    step: str,
    module: ModuleType,
) -> None:
    """Parsing fails in 8.6, building in 10.16 on Orin; or the pictures are wrong.

    https://github.com/NVIDIA/TensorRT/issues/4832.
    """
    spec = open_package(copy).spec
    int8 = replace(spec.graphs["fp32"], precision="int8", opset=opset)
    write_spec(copy, replace(spec, graphs={"int8": int8}))

    def fail(*_: object) -> BuiltEngine:
        raise VsrcError("TensorRT cannot build an engine: Could not infer output types")

    monkeypatch.setattr(engine_files, "build_engine", lambda *_: built_as(asked={"int8": 3}))
    monkeypatch.setattr(module, step, fail)
    with pytest.raises(VsrcError, match="Could not infer") as caught:
        export(replace(config_for(copy), precision="int8"))
    line = f"vsrc export {copy} --precision int8 --int8-with fp32 --overwrite"
    assert (line in str(caught.value)) is is_advised


def built_as(**more: Any) -> BuiltEngine:  # noqa: ANN401
    engine = BuiltEngine(b"engine", {}, True, {"fp16": 3}, LayerReport(), 1.0)
    return replace(engine, **more)


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize(
    ("milliseconds", "is_refused"), [((5.0, 10.0), False), ((10.0, 10.0), True)]
)
def test_a_precision_that_is_not_told_must_show(
    copy: Path,
    stand_in: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    milliseconds: tuple[float, float],
    is_refused: bool,
) -> None:
    stand_in(copy)
    described = json.dumps({"Layers": [{"LayerType": "CaskConvolution", "Name": "n"}]})
    untold = built_as(strongly_typed=False, layers=LayerReport(described))
    monkeypatch.setattr(engine_files, "build_engine", lambda *_: untold)
    monkeypatch.setattr(engine_files, "build_unpinned", lambda *_: built_as())
    times = iter(milliseconds)

    def timed(*arguments: Any) -> Any:  # noqa: ANN401
        return replace(try_engine(*arguments), window_ms=next(times))

    monkeypatch.setattr(engine_files, "try_engine", timed)
    config = replace(config_for(copy), halves=False)
    if is_refused:
        with pytest.raises(GateError, match=r"fp16 engine.*no faster .*10\.00 and 10\.00 ms"):
            export(config)
        assert not (copy / "engines").exists()
        return
    result = export(config)
    (engine,) = result.engines
    spec = read_engine_spec(engine.file)
    assert spec.precision_from == "none"
    assert spec.layers == {"unknown": 1}
    assert engine.file.with_suffix(".layers").read_text() == described
    assert spec.sha256 == bytes_sha256(b"engine")
    assert "precision unknown" in export_text(result, Path("student.vsrc"))


def test_without_a_device_the_sidecar_says_so(copy: Path) -> None:
    config = ExportConfig(copy, format="trt-rtx", precision="fp16", shape=SHAPE, gpus=("8.9",))
    result = export(config)
    for one in result.engines:
        spec = read_engine_spec(one.file)
        assert spec.compared == ()
        assert "CUDA" in spec.not_compared
    assert "not compared" in export_text(result, Path("student.vsrc"))


def test_another_gpu_than_those_built_for_compares_nothing(copy: Path, stand_in: StandIn) -> None:
    assert stand_in(copy) == []
    config = ExportConfig(copy, format="trt-rtx", precision="fp16", shape=SHAPE, gpus=("8.6",))
    (engine,) = export(replace(config, halves=False)).engines
    assert "RTX 4090 is not one of the GPUs" in engine.spec.not_compared


def test_a_failed_inspection_is_a_problem_of_its_own() -> None:
    class Broken:
        def Runtime(self, _: object) -> object:  # noqa: N802
            raise RuntimeError("no\ndevice")

    assert inspect_layers(Broken(), None, b"", {}) == LayerReport("", "RuntimeError: no device")


def test_the_first_error_of_a_fallback_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = ModuleType("tensorrt")
    module.__version__ = "10.3.0"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    order = engine_build.BuildOrder(tmp_path / "g.onnx", "fp16", lambda _, d: (d,))

    def fail(*_: object, typed: bool) -> BuiltEngine:
        raise MismatchError("the first") if typed else VsrcError("the second")

    monkeypatch.setattr(engine_build, "_build", fail)
    with pytest.raises(MismatchError, match=r"the first .*the second"):
        engine_build.build_engine("trt", order)

    def fall_back(*_: object, typed: bool) -> BuiltEngine:
        if typed:
            raise MismatchError("the first")
        return built_as(strongly_typed=False)

    monkeypatch.setattr(engine_build, "_build", fall_back)
    assert engine_build.build_engine("trt", order).fallback == "the first"
