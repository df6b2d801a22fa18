"""The steps of a self-test that need a GPU, on the stand-in for CUDA; each can fail, too."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.cuda_stand_in import StandInGpu, alive, compile_stand_in, in_place_of_cuda
from support.reordering_gpu import HostEngine, Work
from vsrc.export.config import ExportConfig
from vsrc.export.runs.exporting import export
from vsrc.export.selftest import build_step, memory_step, picture_step, sensor_step
from vsrc.export.selftest.build_step import PACKAGE
from vsrc.export.selftest.context import Context
from vsrc.export.selftest.result import Check
from vsrc.runtime.backends.device.cuda_gpu import CudaGpu
from vsrc.runtime.backends.device.engine_file import read_engine_spec
from vsrc.runtime.errors import MismatchError, MissingDependencyError
from vsrc.runtime.package import open_package
from vsrc.runtime.sensors.sensor import SensorValues


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_stand_in(tmp_path_factory.mktemp("cuda"))


@pytest.fixture
def cuda(runtime: Path) -> Iterator[ctypes.CDLL]:
    with in_place_of_cuda(runtime) as library:
        yield library


@pytest.fixture
def context(tmp_path: Path) -> Context:
    (tmp_path / "evidence").mkdir()
    (tmp_path / "work").mkdir()
    told: list[Check] = []
    return Context(tmp_path / "evidence", tmp_path / "work", 0, False, told.append)


def states(context: Context) -> dict[str, str]:
    return {check.name: check.state for check in context.checks}


def test_memory_passes_on_a_device_that_works(cuda: ctypes.CDLL, context: Context) -> None:
    before = alive(cuda)
    memory_step.try_memory(context)
    assert states(context) == dict.fromkeys(
        ("copies", "events", "capture and replay", "a request larger than all memory"), "passed"
    )
    assert alive(cuda) == before


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize(
    ("call", "instead", "failed"),
    [
        ("copy", lambda *_: None, {"copies", "capture and replay"}),
        ("capture", lambda *_: None, {"capture and replay"}),
        ("allocate", lambda *_: 0, {"a request larger than all memory"}),
    ],
)
def test_memory_fails_on_a_device_that_does_not(
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    instead: Any,  # noqa: ANN401
    failed: set[str],
) -> None:
    monkeypatch.setattr(CudaGpu, call, instead)
    memory_step.try_memory(context)
    assert failed <= {name for name, state in states(context).items() if state == "failed"}


class Meter:
    """A sensor whose power follows the copies of the device, or does not."""

    name, total = "meter", ("VDD_IN",)

    def __init__(self, copies: list[int], *, follows: bool) -> None:
        self.facts: dict[str, str] = {}
        self.unreadable: dict[str, str] = {}
        self._copies, self._follows, self._seen = copies, follows, 0

    def read(self) -> SensorValues:
        busy = len(self._copies) > self._seen
        self._seen = len(self._copies)
        return SensorValues(watts={"VDD_IN": 9.0 if busy and self._follows else 3.0})

    def close(self) -> None:
        pass


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("follows", [True, False])
def test_sensors_must_rise_under_load(
    context: Context, monkeypatch: pytest.MonkeyPatch, follows: bool
) -> None:
    copies: list[int] = []
    copy = CudaGpu.copy

    def counted(self: CudaGpu, *arguments: Any) -> None:  # noqa: ANN401
        copies.append(1)
        copy(self, *arguments)

    monkeypatch.setattr(CudaGpu, "copy", counted)
    monkeypatch.setattr(sensor_step, "_COPY_BYTES", 1 << 12)
    monkeypatch.setattr(sensor_step, "_IDLE_SECONDS", 2.0)
    monkeypatch.setattr(sensor_step, "_LOAD_SECONDS", 4.0)
    meter = Meter(copies, follows=follows)
    monkeypatch.setattr(sensor_step, "find_sensors", lambda **_: ([meter], {}))
    sensor_step.try_sensors(context)
    expected = "passed" if follows else "failed"
    assert states(context) == {"power or load rises under load": expected, "rails": "passed"}
    assert "VDD_IN" in (context.evidence / "sensors.json").read_text()


class Darker(HostEngine):
    """An engine that computes something else."""

    def enqueue(self, stream: Any) -> None:  # noqa: ANN401
        super().enqueue(stream)
        if "sr" in self.outputs:
            address, shape = self._bound["sr"], self._shapes["sr"]

            def do() -> None:
                values = self._gpu.read(address, shape, np.dtype(np.uint8))
                values[...] = values // 2

            self._gpu.give(stream, Work(do))


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("kind", [HostEngine, Darker])
def test_pictures_are_compared_in_each_way(
    context: Context, monkeypatch: pytest.MonkeyPatch, kind: type[HostEngine]
) -> None:
    trt_rtx = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
    package = build_step.work_package(context.work, PACKAGE)
    export(ExportConfig(package, format="trt-rtx", shape=((48, 80),)))
    opened, gpus = open_package(package), []

    def gpu(*arguments: Any) -> StandInGpu:  # noqa: ANN401
        gpus.append(StandInGpu(*arguments))
        return gpus[-1]

    def engine(path: Path, _: str) -> HostEngine:
        graph, _spec = opened.graph(read_engine_spec(path).target.graph)
        gpus.append(StandInGpu())
        return kind(gpus[-1], graph)  # type: ignore[arg-type]

    monkeypatch.setattr("vsrc.runtime.backends.device.cuda_gpu.CudaGpu", gpu)
    monkeypatch.setattr(picture_step, "CudaGpu", gpu)
    monkeypatch.setattr("vsrc.runtime.backends.device.trt_engine.TrtEngine", engine)
    monkeypatch.setattr(picture_step, "find_backend", lambda **_: "trt-rtx")
    monkeypatch.setattr(picture_step, "_FRAMES", 5)
    monkeypatch.setattr(picture_step, "_IN_FLIGHT", 9)
    # The stand-in is of compute capability 8.7, for which TensorRT for RTX builds nothing.
    monkeypatch.setattr("vsrc.runtime.backends.device.engine_file.check_fits", lambda *_: None)
    picture_step.try_pictures(context)
    assert trt_rtx.__version__
    assert [error for each in gpus for error in each.errors] == []
    found = states(context)
    assert len(found) == 7
    wrong = {name for name, state in found.items() if state != "passed"}
    both = {"whole against the CPU", "halves against the CPU"}
    assert wrong == (both if kind is Darker else set()), context.checks


def test_what_is_not_installed_is_skipped_with_its_reason(context: Context) -> None:
    def fail(error: Exception) -> None:
        raise error

    with context.attempt("a"):
        fail(MissingDependencyError("no\nTensorRT"))
    with context.attempt("b"):
        fail(RuntimeError("crash"))
    with context.attempt("c") as said:
        said.append("fine")
    assert [(one.state, one.said) for one in context.checks] == [
        ("skipped", "no TensorRT"),
        ("failed", "RuntimeError: crash"),
        ("passed", "fine"),
    ]


@pytest.mark.parametrize("fails", ["int8", ""])
def test_where_int8_does_not_build_the_way_that_works_is_named(
    context: Context, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """As on Orin with JetPack 7.2, which compiles no DequantizeLinear with half scales."""

    class Result:
        engines = ()

    def instead(config: ExportConfig) -> Any:  # noqa: ANN401
        is_half = config.package.name == PACKAGE
        if config.precision == fails and is_half:
            raise MismatchError("TensorRT 10.16 rejects int8.onnx")
        return Result()

    monkeypatch.setattr(build_step, "export", instead)
    monkeypatch.setattr(build_step, "find_backend", lambda **_: "trt-rtx")
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", type(sys)("tensorrt_rtx"))
    sys.modules["tensorrt_rtx"].__version__ = "1.7"  # type: ignore[attr-defined]
    build_step.try_builds(context)
    found = states(context)
    assert len(found) == 8
    failed = [check for check in context.checks if check.state == "failed"]
    assert len(failed) == (2 if fails else 0)
    assert all("--int8-with fp32" in check.said for check in failed)


def test_the_packages_are_whole() -> None:
    for name in (PACKAGE, build_step.INT8_FP32_PACKAGE):
        package = open_package(build_step._ASSETS / name)
        for graph in package.spec.graphs:
            package.graph(graph)  # checks hashes
