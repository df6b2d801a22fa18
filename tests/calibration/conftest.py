"""Tiny clips with shots that are known."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

Frames = NDArray[np.uint8]


def _drifting(count: int, *, seed: int, height: int = 40, width: int = 56, dim: int = 1) -> Frames:
    """One shot, `(count, height, width, 3)`: coarse noise that drifts; no two frames are equal."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 236, (height // 8 + 2, (width + 2 * count) // 8 + 2, 3)) // dim
    fine = coarse.repeat(8, 0).repeat(8, 1).astype(np.uint8)
    return np.stack([fine[:height, 2 * at : 2 * at + width] for at in range(count)])


@pytest.fixture(scope="session")
def drifting() -> Callable[..., Frames]:
    return _drifting


def _write(path: Path, shots: Sequence[Frames]) -> Path:
    """A video without loss (FFV1 in RGB), 25 fps."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width = shots[0].shape[1:3]
        stream.pix_fmt = "bgr0"
        for frame in np.concatenate(list(shots)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="session")
def write_video() -> Callable[[Path, Sequence[Frames]], Path]:
    return _write


@pytest.fixture(scope="session")
def two_shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of two shots, 7 and 5 frames of 56 x 40."""
    path = tmp_path_factory.mktemp("clips") / "two.mkv"
    return _write(path, [_drifting(7, seed=1), _drifting(5, seed=2)])


@pytest.fixture
def package(tiny_package: Path, tmp_path: Path) -> Path:
    """A copy of an untrained edge x2 over 3 frames, with its fp32 graph."""
    path = tmp_path / "student.vsrc"
    shutil.copytree(tiny_package, path)
    return path
