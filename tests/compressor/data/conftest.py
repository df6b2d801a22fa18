"""Small videos and frame folders made in code."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

Frames = NDArray[np.uint8]


def _moving_picture(frames: int, height: int, width: int, *, seed: int) -> Frames:
    """`(T, H, W, 3)` uint8: a mosaic that moves one pixel right and down a frame."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, ((height + frames) // 8 + 1, (width + frames) // 8 + 1, 3))
    canvas = np.kron(coarse, np.ones((8, 8, 1))).astype(np.uint8)
    starts = range(frames, 0, -1)
    return np.stack([canvas[s - 1 : s - 1 + height, s - 1 : s - 1 + width] for s in starts])


def _write_video(path: Path, pictures: Frames, *, codec: str = "ffv1") -> Path:
    """Write a video; ffv1 in bgr0 keeps every byte."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def _write_pictures(folder: Path, pictures: Frames, *, name: str = "{:08d}.png") -> Path:
    """Write PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures):
        write_picture(folder / name.format(number), picture)
    return folder


def write_picture(path: Path, picture: Frames) -> None:
    """Write one PNG file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    encoder = av.CodecContext.create("png", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.height, encoder.width = picture.shape[:2]
    encoder.pix_fmt = "rgb24"
    encoder.framerate = Fraction(1)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    path.write_bytes(b"".join(bytes(packet) for packet in packets))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Folder for decoded clips."""
    return tmp_path / "cache"


@pytest.fixture
def moving_picture() -> Callable[..., Frames]:
    """`moving_picture(frames, height, width, seed=...)`."""
    return _moving_picture


@pytest.fixture
def write_video() -> Callable[..., Path]:
    """`write_video(path, pictures)`, lossless."""
    return _write_video


@pytest.fixture
def write_pictures() -> Callable[..., Path]:
    """`write_pictures(folder, pictures, name="{:08d}.png")`."""
    return _write_pictures


@pytest.fixture
def videos(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder of lossless videos, `count` of them, `(frames, height, width)` each."""

    def make(count: int = 2, *, frames: int = 12, height: int = 48, width: int = 64) -> Path:
        for number in range(count):
            pictures = _moving_picture(frames, height, width, seed=number)
            _write_video(tmp_path / "videos" / f"{number}.mkv", pictures)
        return tmp_path / "videos"

    return make
