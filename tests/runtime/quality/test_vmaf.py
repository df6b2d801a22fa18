from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vsrc.runtime.picture.bicubic import downscale, upscale
from vsrc.runtime.quality.vmaf import Vmaf

pytest.importorskip("imageio_ffmpeg")

Frames = NDArray[np.uint8]


def moving(frames: int, height: int, width: int) -> list[Frames]:
    noise = np.random.default_rng(0).integers(0, 256, (height // 4 + 1, width // 4 + frames, 3))
    wide = upscale(noise.astype(np.uint8), 4)
    return [wide[:height, 4 * t : 4 * t + width] for t in range(frames)]


def vmaf(sr: list[Frames], truth: list[Frames]) -> float | None:
    metric = Vmaf(0)
    for pair in zip(sr, truth, strict=True):
        metric.add(*pair)
    return metric.result()["vmaf"]


@pytest.mark.parametrize("size", [(96, 128), (97, 129)])
def test_equal_clips_score_high_and_blurred_ones_lower(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    truth = moving(4, *size)
    blurred = [upscale(downscale(frame, 4), 4)[: size[0], : size[1]] for frame in truth]
    best, worse = vmaf(truth, truth), vmaf(blurred, truth)
    assert best is not None
    assert worse is not None
    assert best > 95  # the model gives 97 and a little for most equal clips
    assert worse < best - 20
    assert not list(tmp_path.iterdir())


def test_frames_too_small_for_libvmaf_have_no_value() -> None:
    assert vmaf(moving(2, 16, 40), moving(2, 16, 40)) is None
