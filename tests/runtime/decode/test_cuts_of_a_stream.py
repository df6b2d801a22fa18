"""Cuts found on the way through the pipeline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vsrc.runtime.decode.cuts import mark_shots
from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer

Make = Callable[..., Any]


@pytest.mark.parametrize("size", [(36, 64), (180, 320), (300, 150)])
def test_the_first_frame_of_each_shot_is_marked(moving: Make, size: tuple[int, int]) -> None:
    shots = [moving(6, *size, seed=seed) for seed in range(3)]
    frames = [SourceFrame(rgb, pts=i) for i, rgb in enumerate(np.concatenate(shots))]
    assert [f.pts for f in mark_shots(frames) if f.starts_shot] == [6, 12]


@pytest.mark.parametrize("cuts", [True, False])
def test_windows_stop_at_a_cut_unless_told_otherwise(
    tmp_path: Path, write_clip: Make, moving: Make, enlarger: Make, cuts: bool
) -> None:
    frames = np.concatenate([moving(5, 72, 128, seed=seed) for seed in (0, 1)])
    source = write_clip(tmp_path / "a.mkv", frames, codec="ffv1", pix_fmt="bgr0")
    session = enlarger(window=5)
    result = infer(InferConfig((source,), tmp_path / "b.mp4", cuts=cuts), session=session)
    assert result.files[0].frames == 10
    assert result.files[0].shots == (2 if cuts else 1)
    for centre in range(10):
        shot = (centre // 5 * 5, centre // 5 * 5 + 4) if cuts else (0, 9)
        around = np.clip(np.arange(centre - 2, centre + 3), *shot)
        np.testing.assert_array_equal(session.fed[centre][0], frames[around])
