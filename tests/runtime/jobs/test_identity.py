"""A network that changes nothing, through the whole of `infer`: what comes out is what went in."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from support.h273 import Planes, yuv_of
from support.identity import write_identity
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer

Make = Callable[..., Any]
MATRICES = {"bt709": 1, "bt601": 6, "bt2020": 9}
CHROMA = {"420": (2, 2), "422": (2, 1), "444": (1, 1), "gray": (1, 1)}
HEIGHT, WIDTH = 48, 96


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package whose graphs hand the one frame of their window on, as uint8 and as float."""
    return write_identity(tmp_path_factory.mktemp("identity") / "identity.vsrc")


def picture(seed: int, *, is_smooth: bool) -> NDArray[np.float64]:
    """`(H, W, 3)` RGB in [0, 1]; smooth is what chroma of half the size can hold."""
    if not is_smooth:
        return np.random.default_rng(seed).random((HEIGHT, WIDTH, 3))
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH] / HEIGHT
    waves = [across / 2 + down / 4 + seed, across / 3 - down / 3, 1 - across / 2 + down / 5]
    return np.stack([0.5 + 0.45 * np.sin(2 * wave) for wave in waves], axis=-1)


def halved(plane: NDArray[np.uint16], across: int, down: int) -> NDArray[np.uint16]:
    height, width = plane.shape
    blocks = plane.reshape(height // down, down, width // across, across)
    return np.asarray(np.round(blocks.mean(axis=(1, 3))), dtype=np.uint16)


def write_raw(path: Path, frames: list[Planes], pix_fmt: str, colour: tuple[int, int]) -> None:
    """Lossless video of exactly these samples."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        stream.codec_context.colorspace, stream.codec_context.color_range = colour
        for index, samples in enumerate(frames):
            frame = av.VideoFrame(WIDTH, HEIGHT, pix_fmt)
            for plane, values in zip(frame.planes, samples, strict=False):
                kind = np.uint16 if pix_fmt.endswith("le") else np.uint8
                rows = np.zeros((plane.height, plane.line_size // kind().itemsize), kind)
                rows[:, : plane.width] = values
                plane.update(rows.tobytes().ljust(plane.buffer_size, b"\0"))
            frame.pts, frame.time_base = index, Fraction(1, 25)
            frame.colorspace, frame.color_range = colour
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def decoded(
    ffmpeg_out: Make, path: Path, shapes: list[tuple[int, int]], depth: int
) -> list[Planes]:
    """The samples of a file as ffmpeg has them, untouched."""
    kind = np.dtype("<u2" if depth > 8 else "u1")
    samples = np.frombuffer(ffmpeg_out(path), kind).astype(np.uint16)
    frames = samples.reshape(-1, sum(height * width for height, width in shapes))
    ends = np.cumsum([height * width for height, width in shapes])[:-1]
    return [
        [part.reshape(shape) for part, shape in zip(np.split(one, ends), shapes, strict=True)]
        for one in frames
    ]


@pytest.fixture(scope="module")
def ffmpeg_out() -> Make:
    """Decodes a file to raw samples in the pixel format it has."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed; apt-get install ffmpeg")

    def call(path: Path) -> bytes:
        command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "rawvideo", "-"]
        return subprocess.run(command, capture_output=True, check=True).stdout

    return call


@pytest.mark.parametrize("chroma", CHROMA)
@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
def test_yuv_comes_back_within_one(
    tmp_path: Path,
    identity: Path,
    ffmpeg_out: Make,
    matrix: int,
    full: bool,
    depth: int,
    chroma: str,
) -> None:
    across, down = CHROMA[chroma]
    frames = []
    for seed in range(2):
        rgb = picture(seed, is_smooth=across > 1)
        y, *uv = yuv_of(rgb, matrix, depth, full)
        frames.append([y] if chroma == "gray" else [y, *(halved(one, across, down) for one in uv)])
    pix_fmt = "gray" if chroma == "gray" else f"yuv{chroma}p"
    pix_fmt += f"{depth}le" if depth > 8 else ""
    source, output = tmp_path / "a.mkv", tmp_path / "b.mkv"
    write_raw(source, frames, pix_fmt, (matrix, 2 if full else 1))
    result = infer(InferConfig((source,), output, model=identity, codec="ffv1", threads=1))
    assert result.files[0].notes == ()
    shapes = [plane.shape for plane in frames[0]]
    returned = decoded(ffmpeg_out, output, shapes, depth)
    assert len(returned) == 2
    for found, expected in zip(returned, frames, strict=True):
        for plane, samples in zip(found, expected, strict=True):
            assert np.abs(plane.astype(int) - samples).max() <= 1
