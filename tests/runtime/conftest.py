"""Tiny clips made in code, and a network that anyone can check by eye."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from av.container import OutputContainer
from click.testing import CliRunner

from support.enlarger import Enlarger, Frames
from support.optional import skip_without
from support.places import ASSETS


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    """What a latency report must keep to."""
    skip_without("jsonschema")
    from jsonschema import Draft202012Validator

    text = (ASSETS / "bench-report.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    Draft202012Validator.check_schema(loaded)
    return loaded


@pytest.fixture(scope="session")
def enlarger() -> type[Enlarger]:
    return Enlarger


def _moving(count: int, height: int = 32, width: int = 48, seed: int = 0) -> Frames:
    """`(count, height, width, 3)`: coarse noise that drifts, so no two frames are equal."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 216, (height // 8 + 2, (width + 2 * count) // 8 + 2, 3))
    fine = coarse.repeat(8, 0).repeat(8, 1).astype(np.uint8)
    return np.stack([fine[:height, 2 * i : 2 * i + width] for i in range(count)])


@pytest.fixture(scope="session")
def moving() -> Callable[..., Frames]:
    return _moving


def _write_clip(
    path: Path,
    frames: Frames,
    *,
    pts: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 25),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    sound: bool = False,
    aspect: Fraction | None = None,
    colour: tuple[int, int, int, int] | None = None,
    rotation: int = 0,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Encode RGB frames; `colour` is primaries, transfer, matrix, range."""
    pts = range(len(frames)) if pts is None else pts
    with av.open(str(path), "w") as container:
        container.metadata.update(metadata or {})
        video: Any = container.add_stream(codec, rate=25, options=options or {})
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt = pix_fmt
        video.time_base = video.codec_context.time_base = time_base
        if aspect:
            video.codec_context.sample_aspect_ratio = aspect
        if rotation:
            video.set_display_rotation(rotation)
        if colour:
            context = video.codec_context
            context.color_primaries, context.color_trc, context.colorspace = colour[:3]
            context.color_range = colour[3]
        audio: Any = container.add_stream("aac", rate=48000) if sound else None
        for rgb, stamp in zip(frames, pts, strict=True):
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(
                format=pix_fmt, dst_colorspace=colour[2] if colour else None
            )
            frame.pts, frame.time_base = stamp, time_base
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio:
            _write_sound(container, audio, seconds=float((pts[-1] + 1) * time_base))
    return path


def _write_sound(container: OutputContainer, stream: AudioStream, *, seconds: float) -> None:
    for index in range(int(seconds * 48000 / 1024)):
        wave = np.sin(np.arange(1024) * (0.02 + 0.001 * index)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), "fltp", "stereo")
        frame.sample_rate, frame.pts = 48000, index * 1024
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


@pytest.fixture(scope="session")
def write_clip() -> Callable[..., Path]:
    return _write_clip


@pytest.fixture
def lossless(tmp_path: Path, write_clip: Callable[..., Path]) -> Callable[..., Path]:
    """`lossless(name, frames, ...)`: a clip that decodes to these very frames."""

    def write(name: str, frames: Frames, **options: Any) -> Path:  # noqa: ANN401
        path = tmp_path / f"{name}.mkv"
        return write_clip(path, frames, codec="ffv1", pix_fmt="bgr0", **options)

    return write


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 frames of 48x32 at 25 a second, with sound; to be read only."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return _write_clip(path, _moving(24), sound=True, options={"g": "8", "bf": "2"})


@pytest.fixture(scope="session")
def ffprobe() -> Callable[..., dict[str, Any]]:
    """What ffprobe says of a file, asked with `-show_...` arguments."""
    program = shutil.which("ffprobe")
    if program is None:
        pytest.skip("ffprobe is not installed; apt-get install ffmpeg")

    def ask(path: Path, *arguments: str) -> dict[str, Any]:
        command = [program, "-v", "error", "-of", "json", *arguments, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return ask


@pytest.fixture(scope="session")
def ffmpeg() -> Callable[..., None]:
    """Runs ffmpeg with the given arguments."""
    program = shutil.which("ffmpeg")
    if program is None:
        pytest.skip("ffmpeg is not installed; apt-get install ffmpeg")

    def call(*arguments: str | Path) -> None:
        subprocess.run([program, "-v", "error", "-y", *map(str, arguments)], check=True)

    return call


@pytest.fixture(scope="session")
def built(halves_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Engines of the whole and of both halves, for 16x16 to 64x96 and for 24x32 alone."""
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
    from vsrc.cli import main

    path = tmp_path_factory.mktemp("engines") / "student.vsrc"
    shutil.copytree(halves_package, path)
    for shape in ("16x16,32x48,64x96", "24x32"):
        asked = ["export", str(path), "--format", "trt-rtx", "--precision", "fp32"]
        done = CliRunner().invoke(main, [*asked, "--shape", shape])
        assert done.exit_code == 0, done.output
    return path
