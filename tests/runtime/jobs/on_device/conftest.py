"""Frames that stay on the device from the decoder to the encoder.

There is no GPU here. CUDA is the stand-in in C, which does work late and in an order drawn by
chance; engines are their graphs on ONNX Runtime, reading and writing its memory; NVDEC and NVENC
are FFmpeg on the CPU, with frames handed over by DLPack (support/resident_video.py). The engines of
the package are real ones, of TensorRT for RTX.

Results are lossless, and judged by the same graphs on ONNX Runtime without any of this.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from support.cuda_stand_in import StandInGpu, alive, compile_stand_in, in_place_of_cuda
from support.reordering_gpu import ADA, HostEngine, Work
from support.resident_runs import SIZE
from support.resident_video import Hardware, video_on_the_device
from vsrc.export.config import ExportConfig
from vsrc.export.graphs.colour_graphs import colour_graph
from vsrc.export.graphs.guard_graph import guard_graph
from vsrc.export.runs.exporting import export
from vsrc.runtime.backends.device.engine_file import read_engine_spec
from vsrc.runtime.backends.device.gpu import GpuStream
from vsrc.runtime.hashing import file_sha256


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_stand_in(tmp_path_factory.mktemp("cuda"))


@pytest.fixture(scope="session")
def package(untrained_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Engines of the whole in fp32 and fp16, and those for video, for frames of one size."""
    path = Path(shutil.copytree(untrained_package, tmp_path_factory.mktemp("video") / "a.vsrc"))
    for precision in ("fp32", "fp16"):
        export(
            ExportConfig(
                path,
                format="trt-rtx",
                precision=precision,
                shape=(SIZE,),
                halves=False,
                video=precision == "fp16",
                allow_lossy=True,
            )
        )
    return path


@pytest.fixture
def overflows() -> list[bool]:
    """Whether engines in fp16 leave black squares: a test appends to it."""
    return []


class Overflowing(HostEngine):
    """A network that leaves a square of every fifth result black, by its first pixel."""

    def enqueue(self, stream: GpuStream) -> None:
        super().enqueue(stream)
        lr, sr = (self._bound[name] for name in ("lr", "sr"))
        fed, made = (self._shapes[name] for name in ("lr", "sr"))

        def spoil() -> None:
            if self._gpu.read(lr, fed, np.dtype(np.uint8))[0, 1].sum() % 5 == 0:
                self._gpu.read(sr, made, np.dtype(np.uint8))[0, 20:60, 20:60] = 0

        self._gpu.give(stream, Work(spoil, name="network"))


@pytest.fixture
def gpu(
    runtime: Path,
    package: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    overflows: list[bool],
) -> Iterator[StandInGpu]:
    """The device of a run, on which nothing is left after the test."""
    graphs = tmp_path / "graphs"
    graphs.mkdir()

    def engine(path: Path, _: str) -> HostEngine:
        target = read_engine_spec(path).target
        name = target.graph
        for file in (*package.glob("graphs/*.onnx"), *tmp_path.rglob("graphs/*.onnx")):
            if file_sha256(file) == target.graph_sha256:
                kind = Overflowing if name == "fp16" and overflows else HostEngine
                return kind(made, file)  # type: ignore[arg-type]
        model = guard_graph(int(name[-1])) if name.startswith("guard") else colour_graph(name)
        file = graphs / f"{name}.onnx"
        file.write_bytes(model.SerializeToString())
        assert file_sha256(file) == target.graph_sha256
        return HostEngine(made, file)  # type: ignore[arg-type]

    monkeypatch.setattr("vsrc.runtime.backends.device.engines.cuda_device", lambda _: ADA)
    with in_place_of_cuda(runtime) as library:
        before = alive(library)
        made = StandInGpu()
        monkeypatch.setattr("vsrc.runtime.backends.device.cuda_gpu.CudaGpu", lambda _: made)
        monkeypatch.setattr("vsrc.runtime.backends.device.trt_engine.TrtEngine", engine)
        yield made
        assert made.errors == []
        gc.collect()
        assert alive(library) == before


@pytest.fixture
def hardware(monkeypatch: pytest.MonkeyPatch, gpu: StandInGpu) -> Iterator[Hardware]:
    placed = video_on_the_device(monkeypatch, gpu)
    yield placed
    placed.memory.close()
