"""Files of public test suites that once came out wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.enlarger import Enlarger
from support.marked_clips import probe
from vsrc.runtime.errors import MediaError
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.result import FileResult

CASES: dict[str, tuple[int, float, str]] = {
    "h264-bframes.avi": (100, 0.04, ""),
    "out-of-order-start.mp4": (180, 0.033, "time stamps did not increase"),
    "joined-two-recordings.ts": (100, 0.04, "the clock restarts at 2.0 s"),
    "vp9-hidden-frames-in-own-packets.webm": (72, 1001 / 24000, ""),
    "recording-begins-mid-gop.ts": (50, 0.04, "begins in the middle of a group of pictures"),
}
"""Name, number of frames, their distance in seconds, and the one note."""


def upscale(source: Path, output: Path, **options: Any) -> FileResult:  # noqa: ANN401
    config = InferConfig((source,), output, codec="ffv1", threads=1, **options)
    return infer(config, session=Enlarger(scale=1, window=1)).files[0]


@pytest.mark.parametrize("name", CASES)
def test_a_case_has_all_its_pictures(tmp_path: Path, cases: Path, name: str) -> None:
    frames, step, note = CASES[name]
    result = upscale(cases / "video" / name, tmp_path / "out.mkv")
    before, after = probe(cases / "video" / name), probe(tmp_path / "out.mkv")
    assert result.frames == len(after.times) == len(before.times) == frames
    assert np.median(np.diff(after.times)) == pytest.approx(step, abs=0.001)
    assert (after.times[-1] - after.times[0]) == pytest.approx((frames - 1) * step, abs=2 * step)
    assert len(after.sound) == len(before.sound)
    if before.sound:
        assert abs(after.offset - before.offset) < step
    notes = [said for said in result.notes if "are upscaled in 8 bits" not in said]
    assert len(notes) == bool(note)
    assert all(note in said for said in notes)


def test_a_case_that_becomes_interlaced(tmp_path: Path, cases: Path) -> None:
    source = cases / "video" / "progressive-then-interlaced.ts"
    with pytest.raises(MediaError, match="--deinterlace"):
        upscale(source, tmp_path / "out.mkv")
    result = upscale(source, tmp_path / "out.mkv", deinterlace=True)
    assert result.frames == len(probe(source).times) == 50
    assert not any("damaged" in note for note in result.notes)


def test_a_case_with_a_gap_of_hours(tmp_path: Path, cases: Path) -> None:
    source = cases / "attack" / "gap2.mkv"
    result = upscale(source, tmp_path / "out.mkv")
    after = probe(tmp_path / "out.mkv").times
    assert (result.frames, result.notes) == (25, ())
    np.testing.assert_allclose(after, probe(source).times, atol=0.001)
