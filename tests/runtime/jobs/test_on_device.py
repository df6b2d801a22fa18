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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from support.cuda_stand_in import StandInGpu, alive, compile_stand_in, in_place_of_cuda
from support.decoded import frames_of
from support.reordering_gpu import ADA, HostEngine, Work
from support.resident_video import Hardware, video_on_the_device
from support.software_nvdec import samples, semi_planar
from vsrc.export.config import ExportConfig
from vsrc.export.graphs.colour_graphs import colour_graph
from vsrc.export.graphs.guard_graph import guard_graph
from vsrc.export.runs.exporting import export
from vsrc.export.selftest import route_step
from vsrc.export.selftest.context import Context
from vsrc.export.selftest.result import ROUND_TRIPS
from vsrc.runtime.backends.device.engine_file import read_engine_spec
from vsrc.runtime.backends.device.gpu import GpuStream
from vsrc.runtime.backends.device.surfaces import SurfacePool
from vsrc.runtime.errors import (
    DeviceMemoryError,
    HardwareError,
    MissingDependencyError,
)
from vsrc.runtime.hashing import file_sha256
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.result import FileResult
from vsrc.runtime.package import open_package
from vsrc.runtime.picture.colour_matrix import Affine, rgb_from_yuv, yuv_from_rgb
from vsrc.runtime.picture.device_planes import read_planes

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
                precision=precision,
                shape=(SIZE,),
                halves=False,
                video=precision == "fp16",
                allow_lossy=True,
            )
        )
    return path


overflows: list[bool] = []


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
    runtime: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    assert hardware.memory.freed == 24


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


def test_what_reduced_precision_has_spoilt_is_computed_again(
    tmp_path: Path,
    write_clip: Make,
    moving: Make,
    package: Path,
    hardware: Hardware,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(f"{__name__}.overflows", [True])
    source = clip_of(write_clip, moving, tmp_path / "a.mp4")
    result = upscale(source, package, tmp_path / "b.mkv", precision="fp16", cuts=False)
    assert STAYS in notes()
    assert 0 < result.recomputed_frames < 12
    assert result.corrupted_frames == 0
    expected = expected_planes(source, package, "fp32")
    for one, other in zip(found_planes(tmp_path / "b.mkv"), expected, strict=True):
        assert np.abs(one[0].astype(int) - other[0]).max() <= 3  # fp16, and swscale's rounding
    assert hardware.encoders


def test_the_result_is_close_to_that_of_the_cpu_path(
    tmp_path: Path, write_clip: Make, moving: Make, package: Path, hardware: Hardware
) -> None:
    """And cuts, an excerpt, sound and time stamps are those of the CPU path."""
    source = tmp_path / "a.mp4"
    frames = np.concatenate([moving(10, *SIZE), 255 - moving(12, *SIZE, seed=5)])
    stamps = [at * 7 + at % 3 for at in range(22)]
    write_clip(source, frames, pts=stamps, sound=True, options={"g": "8", "bf": "2"})
    asked: dict[str, Any] = {"start": 0.4}
    host = upscale(source, package, tmp_path / "host.mkv", hwaccel="none", **asked)
    result = upscale(source, package, tmp_path / "b.mkv", **asked)
    assert STAYS in notes()
    assert (result.frames, result.shots) == (host.frames, host.shots)
    assert result.shots == 2
    assert packets(tmp_path / "b.mkv", 0) == packets(tmp_path / "host.mkv", 0)
    assert packets(tmp_path / "b.mkv", 1) == packets(tmp_path / "host.mkv", 1)
    near = frames_of(tmp_path / "host.mkv").astype(int)
    assert np.abs(frames_of(tmp_path / "b.mkv") - near).max() <= 6
    assert hardware.encoders


def packets(path: Path, index: int) -> list[tuple[Any, ...]]:
    """Stamps of all packets of a track, and the bytes of sound."""
    with av.open(str(path)) as container:
        return [
            (packet.pts, packet.duration, bytes(packet) if index else b"")
            for packet in container.demux(container.streams[index])
            if packet.size
        ]


@pytest.mark.parametrize("part", ["decoder", "encoder", "memory", "captions"])
def test_where_the_device_fails_the_cpu_begins_again(
    tmp_path: Path,
    write_clip: Make,
    moving: Make,
    package: Path,
    gpu: StandInGpu,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
) -> None:
    source = clip_of(write_clip, moving, tmp_path / "a.mp4")
    fails = {f"{part}_fails_at": 13} if part in ("decoder", "encoder") else {}
    placed = video_on_the_device(monkeypatch, gpu, **fails)
    upscale(source, package, tmp_path / "host.mkv", hwaccel="none")
    if part == "memory":
        patch_third_allocation(monkeypatch)
    if part == "captions":
        monkeypatch.setattr(
            "vsrc.runtime.decode.video_reader.frame_data_types",
            lambda frame: frozenset({"A53_CC"}) if frame.pts >= 6400 else frozenset(),
        )
    result = upscale(source, package, tmp_path / "b.mkv")
    assert STAYS in [note for call in heard for note in call.notes]
    lines = [note for note in result.notes if "on the CPU" in note]
    assert len(lines) == 1
    assert lines[0].startswith("decoded on the CPU from the beginning on: ")
    assert (tmp_path / "b.mkv").read_bytes() == (tmp_path / "host.mkv").read_bytes()
    placed.memory.close()


def patch_third_allocation(patch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    take = SurfacePool.take

    def fail(pool: SurfacePool) -> Any:  # noqa: ANN401
        taken.append(1)
        if len(taken) == 3:
            raise DeviceMemoryError("out of memory")
        return take(pool)

    patch.setattr(SurfacePool, "take", fail)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"codec": "ffv1", "crf": None}, ""),
        ({"batch": 2}, "--batch takes windows from host memory"),
        ({"tile": 48}, None),
        ({"backend": "ort"}, "ort-cpu fp32 takes frames from host memory"),
    ],
)
def test_other_frames_go_through_host_memory(
    tmp_path: Path,
    write_clip: Make,
    moving: Make,
    package: Path,
    hardware: Hardware,
    options: dict[str, Any],
    reason: str | None,
) -> None:
    source = clip_of(write_clip, moving, tmp_path / "a.mp4")
    upscale(source, package, tmp_path / "host.mkv", hwaccel="none", **options)
    upscale(source, package, tmp_path / "b.mkv", **options)
    (line,) = (note for note in notes() if "NVDEC" in note)
    assert line.startswith("decoded by NVDEC on CUDA device 0")
    if reason:
        assert f"; frames go through host memory: {reason}" in line
    else:
        assert line == "decoded by NVDEC on CUDA device 0"
    assert (tmp_path / "b.mkv").read_bytes() == (tmp_path / "host.mkv").read_bytes()
    assert not any(encoder.layouts for encoder in hardware.encoders)


@pytest.mark.parametrize("lacks", ["engine", "size", "encoder"])
def test_one_line_says_what_is_missing(
    tmp_path: Path,
    write_clip: Make,
    moving: Make,
    package: Path,
    gpu: StandInGpu,
    monkeypatch: pytest.MonkeyPatch,
    lacks: str,
) -> None:
    fails = {"encoder_fails_at": -1} if lacks == "encoder" else {}
    placed = video_on_the_device(monkeypatch, gpu, **fails)
    copy = Path(shutil.copytree(package, tmp_path / "copy.vsrc"))
    for file in (copy / "engines").glob("trt-rtx-rgb-to-nv12-*"):
        if lacks == "engine":
            file.unlink()
    options: dict[str, Any] = {"backend": "trt-rtx"}
    source = tmp_path / "a.mp4"
    size = (SIZE[0] - 2, SIZE[1]) if lacks == "size" else SIZE
    write_clip(source, moving(6, *size))
    upscale(source, copy, tmp_path / "b.mkv", **options)
    (line,) = (note for note in notes() if "NVDEC" in note)
    start, _, why = line.partition("; frames go through host memory: ")
    assert start == "decoded by NVDEC on CUDA device 0"
    expected = {
        "engine": "copy.vsrc holds no trt-rtx rgb-to-nv12-left engine; build it: vsrc export",
        "size": "80x70 must be padded for the engine",
        "encoder": "FFmpeg cannot open NVENC on CUDA device 0",
    }[lacks]
    assert why.startswith(expected)
    if lacks == "engine":
        assert "--format trt-rtx --shape 72x80 --video" in why
    placed.memory.close()


def test_a_finished_file_of_a_folder_is_not_made_again(
    tmp_path: Path, write_clip: Make, moving: Make, package: Path, hardware: Hardware
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "ab":
        clip_of(write_clip, moving, folder / f"{name}.mkv")
    config = InferConfig(
        (folder,),
        tmp_path / "out",
        model=package,
        hwaccel="cuda",
        codec="nvenc",
        precision="fp32",
        backend="trt-rtx",
        threads=1,
    )
    infer(config)
    made = len(hardware.encoders)
    again = infer(config).files
    assert all("skipped" in file.notes[0] for file in again)
    assert sum(bool(encoder.layouts) for encoder in hardware.encoders[made:]) == 0


def test_a_frame_of_another_place_or_size_is_refused(gpu: StandInGpu) -> None:
    frame = av.VideoFrame(80, 72, "nv12")
    with pytest.raises(HardwareError, match=r"DLPack's device \(1, 0\), not on CUDA 0"):
        read_planes(frame, 0)
    with pytest.raises(HardwareError, match="NVDEC gave frames in yuv444p, not in nv12 or p010le"):
        read_planes(av.VideoFrame(80, 72, "yuv444p"), 0)
    del gpu


def test_the_selftest_upscales_a_video_on_the_device(tmp_path: Path, hardware: Hardware) -> None:
    context = Context(tmp_path, tmp_path, 0, quick=False, tell=lambda _: None)
    with pytest.raises(MissingDependencyError, match="it needs the NVENC and NVDEC round trip"):
        route_step._stay_on_device(context)
    context.add(ROUND_TRIPS["h264_nvenc"][0], "passed")
    said = route_step._stay_on_device(context)
    assert said.startswith("24 frames, ")
    assert said.endswith(" dB from those through host memory")
    assert {layout for each in hardware.encoders for layout in each.layouts} == {"nv12"}
