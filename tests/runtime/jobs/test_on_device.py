"""Frames that stay on the device from the decoder to the encoder.

There is no GPU here. CUDA is the stand-in in C, which does work late and in an order drawn by
chance; engines are their graphs on ONNX Runtime, reading and writing its memory; NVDEC and NVENC
are FFmpeg on the CPU, with frames handed over by DLPack (support/resident_video.py). The engines of
the package are real ones, of TensorRT for RTX.

Results are lossless, and judged by the same graphs on ONNX Runtime without any of this.
"""

from __future__ import annotations

import ctypes
import gc
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from support.cuda_stand_in import StandInGpu, alive, compile_stand_in, in_place_of_cuda
from support.decoded import frames_of
from support.reordering_gpu import ADA, HostEngine
from support.resident_video import Hardware, video_on_the_device
from support.software_nvdec import samples, semi_planar
from vsrc.export.config import ExportConfig
from vsrc.export.graphs.colour_graphs import colour_graph
from vsrc.export.graphs.guard_graph import guard_graph
from vsrc.export.runs.exporting import export
from vsrc.runtime.backends.device.engine_file import read_engine_spec
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.result import FileResult
from vsrc.runtime.package import open_package
from vsrc.runtime.picture.colour_matrix import Affine, rgb_from_yuv, yuv_from_rgb

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")

Make = Callable[..., Any]
Bytes = NDArray[np.uint8]

SIZE = (72, 80)
STAYS = "decoded by NVDEC on CUDA device 0; frames stay there up to libx264"


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_stand_in(tmp_path_factory.mktemp("cuda"))


@pytest.fixture(scope="module")
def package(untrained_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Engines of the whole in fp32 and fp16, and those for video, for frames of one size."""
    path = Path(shutil.copytree(untrained_package, tmp_path_factory.mktemp("video") / "a.vsrc"))
    for precision in ("fp32", "fp16"):
        export(
            ExportConfig(
                path,
                format="trt-rtx",
                precision=precision,  # type: ignore[arg-type]
                shape=(SIZE,),
                halves=False,
                video=precision == "fp16",
                allow_lossy=True,
            )
        )
    return path


@pytest.fixture
def gpu(
    runtime: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StandInGpu]:
    """The device of a run, on which nothing is left after the test."""
    opened, graphs = open_package(package), tmp_path / "graphs"
    graphs.mkdir()

    def engine(path: Path, _: str) -> HostEngine:
        name = read_engine_spec(path).target.graph
        if name in opened.spec.graphs:
            return HostEngine(made, opened.graph(name)[0])  # type: ignore[arg-type]
        model = guard_graph(int(name[-1])) if name.startswith("guard") else colour_graph(name)
        file = graphs / f"{name}.onnx"
        file.write_bytes(model.SerializeToString())
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


heard: list[Any] = []


def upscale(source: Path, package: Path, output: Path, **options: Any) -> FileResult:  # noqa: ANN401
    asked: dict[str, Any] = {"hwaccel": "cuda", "codec": "nvenc", "crf": 0, "precision": "fp32"}
    asked |= {"backend": "trt-rtx", "threads": 1, "overwrite": True, **options}
    config = InferConfig((source,), output, model=package, **asked)
    (result,) = infer(config, progress=heard.append).files
    return result


def notes() -> tuple[str, ...]:
    return tuple(heard[-1].notes)


def clip_of(write_clip: Make, moving: Make, path: Path, **options: Any) -> Path:  # noqa: ANN401
    options = {"options": {"g": "8", "bf": "2"}, "pts": range(0, 240, 10)} | options
    frames = moving(24, *SIZE)
    made: Path = write_clip(path, frames, **options)
    return made


def planes(frame: av.VideoFrame) -> tuple[Bytes, Bytes]:
    """Y and UV of NV12 or P010 in the shapes of the graphs."""
    item = 2 if frame.format.name == "p010le" else 1
    kind = np.dtype("<u2" if item == 2 else "u1")
    ends = (item,) if item == 2 else ()
    luma, chroma = (np.ascontiguousarray(samples(p, kind, frame.width)) for p in frame.planes)
    height, width = luma.shape
    return (
        luma.view(np.uint8).reshape(height, width, *ends),
        chroma.view(np.uint8).reshape(height // 2, width // 2, 2, *ends),
    )


def on_cpu(name: str, colour: Affine, feeds: dict[str, Bytes]) -> list[Bytes]:
    import onnxruntime

    session = onnxruntime.InferenceSession(colour_graph(name).SerializeToString())
    numbers = {"matrix": colour.matrix, "offset": colour.offset[:, 0]}
    found: list[Bytes] = session.run(None, feeds | numbers)
    return found


def expected_planes(source: Path, package: Path, precision: str) -> list[list[Bytes]]:
    """What the graphs make of the frames of a source, one after the other, without cuts."""
    with av.open(str(source)) as container:
        decoded = [semi_planar(frame) for frame in container.decode(video=0)]
    name = "p010" if decoded[0].format.name == "p010le" else "nv12"
    depth = 10 if name == "p010" else 8
    to_rgb = rgb_from_yuv(6, depth=depth, is_full=False, white=255)  # SD is BT.601
    rgb = []
    for frame in decoded:
        y, uv = planes(frame)
        rgb += on_cpu(f"{name}-to-rgb-left", to_rgb, {"y": y, "uv": uv})
    session = open_package(package).session(backend="ort", precision=precision, threads=1)
    last = len(rgb) - 1
    made = []
    for at in range(len(rgb)):
        window = np.stack([rgb[min(max(near, 0), last)] for near in (at - 1, at, at + 1)])
        from_rgb = yuv_from_rgb(6, depth=depth, is_full=False, white=255)
        (sr,) = session(window[None])
        made.append(on_cpu(f"rgb-to-{name}-left", from_rgb, {"rgb": sr}))
    return made


def found_planes(result: Path) -> list[tuple[Bytes, Bytes]]:
    with av.open(str(result)) as container:
        return [planes(semi_planar(frame)) for frame in container.decode(video=0)]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_graphs_alone_make_the_same_samples(
    tmp_path: Path,
    write_clip: Make,
    moving: Make,
    package: Path,
    hardware: Hardware,
    precision: str,
) -> None:
    source = clip_of(write_clip, moving, tmp_path / "a.mp4", sound=True)
    result = upscale(source, package, tmp_path / "b.mkv", precision=precision, cuts=False)
    assert STAYS in notes()
    assert result.frames == 24
    found = found_planes(tmp_path / "b.mkv")
    expected = expected_planes(source, package, precision)
    for one, other in zip(found, expected, strict=True):
        for here, there in zip(one, other, strict=True):
            np.testing.assert_array_equal(here, there)
    layouts = {layout for encoder in hardware.encoders for layout in encoder.layouts}
    assert layouts == {"nv12"}  # none went through host memory
    assert hardware.memory.freed > 24


def test_ten_bits_stay_on_the_device(
    tmp_path: Path, write_clip: Make, moving: Make, package: Path, hardware: Hardware
) -> None:
    options = {"x265-params": "log-level=error:keyint=8"}
    source = clip_of(
        write_clip,
        moving,
        tmp_path / "a.mkv",
        codec="libx265",
        pix_fmt="yuv420p10le",
        options=options,
    )
    upscale(source, package, tmp_path / "b.mkv", cuts=False)
    assert STAYS in notes()
    found = found_planes(tmp_path / "b.mkv")
    for one, other in zip(found, expected_planes(source, package, "fp32"), strict=True):
        for here, there in zip(one, other, strict=True):
            np.testing.assert_array_equal(here, there)
    assert {layout for each in hardware.encoders for layout in each.layouts} == {"p010le"}
