"""`--hwaccel`: what the decoder of a GPU gives must be what the CPU gives, to the byte.

There is no NVDEC here: FFmpeg's decoders on the CPU take its place behind the same interface, with
frames in its pixel formats (support/software_nvdec.py). That FFmpeg finds no device is real.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from support.cuda_stand_in import compile_stand_in, in_place_of_cuda
from support.enlarger import Enlarger
from support.software_nvdec import nvdec_on_the_cpu, samples, semi_planar
from vsrc.runtime.decode.hardware_decoder import in_format
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.result import FileResult
from vsrc.runtime.sensors.cuda_device import find_device
from vsrc.runtime.sensors.selftest_record import forget_selftest, remember_selftest

Make = Callable[..., Any]

BY_NVDEC = "decoded by NVDEC on CUDA device 0"


def upscale(source: Path, output: Path, hwaccel: str, **options: Any) -> FileResult:  # noqa: ANN401
    config = InferConfig((source,), output, hwaccel=hwaccel, overwrite=True, **options)
    (result,) = infer(config, session=Enlarger(), progress=heard.append).files
    return result


heard: list[Any] = []


def notes_before() -> tuple[str, ...]:
    return tuple(heard[-1].notes)


@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt", "options"),
    [
        ("mp4", "libx264", "yuv420p", {"g": "8", "bf": "2"}),
        ("ts", "libx264", "yuv420p", {"g": "8", "bf": "2"}),
        ("mkv", "libx264", "yuvj420p", {"g": "8"}),
        ("mkv", "libx265", "yuv420p10le", {"x265-params": "log-level=error:keyint=8"}),
        ("webm", "libvpx-vp9", "yuv420p", {"g": "8"}),
        ("mkv", "libsvtav1", "yuv420p", {"preset": "12"}),
        ("mkv", "mpeg2video", "yuv420p", {"bf": "2"}),
    ],
)
@pytest.mark.parametrize("start", [0.0, 6.0])
def test_the_result_is_that_of_the_cpu(
    tmp_path: Path,
    write_clip: Make,
    moving: Make,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    codec: str,
    pix_fmt: str,
    options: dict[str, str],
    start: float,
) -> None:
    frames = moving(24, height=72, width=80)
    stamps = range(0, 240, 10)  # 2.5 a second, so that a start needs a seek
    source = write_clip(
        tmp_path / f"a.{suffix}", frames, pts=stamps, codec=codec, pix_fmt=pix_fmt, options=options
    )
    expected = upscale(source, tmp_path / "cpu.mkv", "none", start=start)
    made = nvdec_on_the_cpu(monkeypatch)
    result = upscale(source, tmp_path / "gpu.mkv", "cuda", start=start)
    assert BY_NVDEC in notes_before()
    assert sum(context.fed for context in made) >= 12  # it was not the CPU again
    assert result.frames == expected.frames
    assert (tmp_path / "gpu.mkv").read_bytes() == (tmp_path / "cpu.mkv").read_bytes()


@pytest.mark.parametrize("frames_between", [0, 2])
def test_the_decoder_knows_what_the_header_says(
    tmp_path: Path,
    write_clip: Make,
    moving: Make,
    monkeypatch: pytest.MonkeyPatch,
    frames_between: int,
) -> None:
    options = {"bf": str(frames_between)}
    source = write_clip(tmp_path / "a.mp4", moving(6), options=options)
    made = nvdec_on_the_cpu(monkeypatch)
    upscale(source, tmp_path / "b.mkv", "cuda")
    context = made[-1]
    assert (context.configured["width"], context.configured["height"]) == (48, 32)
    assert context.configured["codec_tag"] == "avc1"
    assert context.configured["extradata"]
    assert ("options" in context.configured) == bool(frames_between)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_reordering_keeps_every_sample(pix_fmt: str) -> None:
    kind = np.dtype("<u2" if pix_fmt.endswith("le") else "u1")
    random = np.random.default_rng(0)
    for _ in range(400):  # swscale's threads could overwrite a few samples now and then
        frame = av.VideoFrame(80, 72, pix_fmt)
        for plane in frame.planes:
            view = samples(plane, kind, plane.width)
            view[:] = random.integers(0, 1024 if kind.itemsize > 1 else 256, view.shape)
        found = in_format(semi_planar(frame), pix_fmt)
        for expected, plane in zip(frame.planes, found.planes, strict=True):
            np.testing.assert_array_equal(
                samples(plane, kind, plane.width), samples(expected, kind, expected.width)
            )


def test_without_a_gpu_one_line_says_so(tmp_path: Path, clip: Path) -> None:
    upscale(clip, tmp_path / "cpu.mkv", "none")
    silent = notes_before()
    result = upscale(clip, tmp_path / "gpu.mkv", "cuda")
    (line,) = set(notes_before()) - set(silent)
    assert line.startswith("decoded on the CPU: FFmpeg cannot open NVDEC on CUDA device 0")
    assert result.frames == 24
    assert (tmp_path / "gpu.mkv").read_bytes() == (tmp_path / "cpu.mkv").read_bytes()


@pytest.mark.parametrize("fails_at", [0, 1, 9, 17])
def test_where_nvdec_fails_the_cpu_goes_on(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    upscale(clip, tmp_path / "cpu.mkv", "none")
    nvdec_on_the_cpu(monkeypatch, fails_at=fails_at)
    result = upscale(clip, tmp_path / "gpu.mkv", "cuda")
    lines = [note for note in (*notes_before(), *result.notes) if "on the CPU" in note]
    assert len(lines) == 1
    assert "NVDEC does not conceal" in lines[0]
    assert result.frames == 24
    assert (tmp_path / "gpu.mkv").read_bytes() == (tmp_path / "cpu.mkv").read_bytes()


def test_damage_is_concealed_by_the_cpu(
    tmp_path: Path, write_clip: Make, moving: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_clip(tmp_path / "a.mp4", moving(24), options={"g": "6", "bf": "2"})
    with av.open(str(source)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    damaged = bytearray(source.read_bytes())
    place, size = packets[13].pos, packets[13].size
    assert place is not None
    damaged[place : place + size] = b"\xff" * size
    source.write_bytes(damaged)
    expected = upscale(source, tmp_path / "cpu.mkv", "none")
    assert any("damaged packet" in note for note in expected.notes)
    nvdec_on_the_cpu(monkeypatch)
    result = upscale(source, tmp_path / "gpu.mkv", "cuda")
    assert result.notes[0].startswith("decoded on the CPU from the last finished segment on")
    assert result.notes[1:] == expected.notes
    assert (tmp_path / "gpu.mkv").read_bytes() == (tmp_path / "cpu.mkv").read_bytes()


@pytest.mark.parametrize(
    ("pix_fmt", "codec", "options", "reason"),
    [
        ("yuv444p", "libx264", {}, "NVDEC does not decode h264 with yuv444p"),
        ("yuv420p10le", "libx264", {}, "NVDEC does not decode h264 with yuv420p10le"),
        ("yuv420p", "ffv1", {}, "NVDEC does not decode ffv1 with yuv420p"),
    ],
)
def test_what_nvdec_does_not_decode(
    tmp_path: Path,
    write_clip: Make,
    moving: Make,
    monkeypatch: pytest.MonkeyPatch,
    pix_fmt: str,
    codec: str,
    options: dict[str, str],
    reason: str,
) -> None:
    source = write_clip(
        tmp_path / "a.mkv", moving(4), codec=codec, pix_fmt=pix_fmt, options=options
    )
    made = nvdec_on_the_cpu(monkeypatch)
    upscale(source, tmp_path / "b.mkv", "cuda")
    assert f"decoded on the CPU: {reason}" in notes_before()
    assert not made


def test_deinterlacing_is_the_cpus(
    tmp_path: Path, write_clip: Make, moving: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = nvdec_on_the_cpu(monkeypatch)
    source = write_clip(
        tmp_path / "a.mkv", moving(12), options={"x264-params": "interlaced=1:log-level=-1"}
    )
    upscale(source, tmp_path / "b.mkv", "cuda", deinterlace=True)
    assert any("--deinterlace works on frames of the CPU" in note for note in notes_before())
    assert not made


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_stand_in(tmp_path_factory.mktemp("cuda"))


def test_auto_is_the_cpu_until_a_selftest_has_passed(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch, runtime: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    nvdec_on_the_cpu(monkeypatch)
    library: ctypes.CDLL
    with in_place_of_cuda(runtime) as library:
        assert library is not None
        upscale(clip, tmp_path / "a.mkv", "auto")
        assert BY_NVDEC not in notes_before()
        remember_selftest(find_device(0))
        upscale(clip, tmp_path / "b.mkv", "auto")
        assert BY_NVDEC in notes_before()
        upscale(clip, tmp_path / "c.mkv", "none")
        assert BY_NVDEC not in notes_before()
        forget_selftest(find_device(0))
        upscale(clip, tmp_path / "d.mkv", "auto")
        assert BY_NVDEC not in notes_before()
    with in_place_of_cuda(runtime, DRIVER=12080):  # another driver is another device
        remember_selftest(find_device(0))
    with in_place_of_cuda(runtime):
        upscale(clip, tmp_path / "e.mkv", "auto")
        assert BY_NVDEC not in notes_before()


def test_an_unknown_decoder_is_refused() -> None:
    with pytest.raises(ValueError, match="vulkan"):
        InferConfig(("a.mp4",), Path("b.mkv"), hwaccel="vulkan")
