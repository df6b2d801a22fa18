"""Where frames cannot stay on the device, they go through host memory, or the CPU decodes them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from support.cuda_stand_in import StandInGpu
from support.resident_runs import SIZE, STAYS, all_notes, clip_of, notes, upscale
from support.resident_video import Hardware, video_on_the_device
from vsrc.runtime.backends.device.surfaces import SurfacePool
from vsrc.runtime.errors import DeviceMemoryError, HardwareError
from vsrc.runtime.picture.device_planes import read_planes

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")

Make = Callable[..., Any]


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
            "vsrc.runtime.decode.rgb_conversion.frame_data_types",
            lambda frame: frozenset({"A53_CC"}) if frame.pts >= 6400 else frozenset(),
        )
    result = upscale(source, package, tmp_path / "b.mkv")
    assert STAYS in all_notes()
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


def test_a_frame_of_another_place_or_size_is_refused(gpu: StandInGpu) -> None:
    frame = av.VideoFrame(80, 72, "nv12")
    with pytest.raises(HardwareError, match=r"DLPack's device \(1, 0\), not on CUDA 0"):
        read_planes(frame, 0)
    with pytest.raises(HardwareError, match="NVDEC gave frames in yuv444p, not in nv12 or p010le"):
        read_planes(av.VideoFrame(80, 72, "yuv444p"), 0)
    del gpu
