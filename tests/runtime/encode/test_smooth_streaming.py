"""Smooth Streaming (.ismv), whose fragments have no times: the tracks keep their distance."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.enlarger import Enlarger
from support.marked_clips import H264, MARKS, probe, read_marks, run_program
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer


@pytest.mark.parametrize("suffix", ["ismv", "isma"])
@pytest.mark.parametrize("source", ["a.mkv", "a.mp4", "a.ismv"])
@pytest.mark.parametrize(("of", "late"), [("video", 0.2), ("audio", 0.3), ("video", 0)])
def test_tracks_keep_their_distance(
    tmp_path: Path, of: str, late: float, source: str, suffix: str
) -> None:
    path, output = tmp_path / source, tmp_path / f"out.{suffix}"
    delays = [["-itsoffset", str(late)] if of == each else [] for each in ("video", "audio")]
    run_program(
        "ffmpeg", *delays[0], "-f", "lavfi", "-i", MARKS, *delays[1], "-f", "lavfi", "-i",
        "sine=r=44100", "-t", "1", *H264.split(), "-c:a", "aac", path,
    )  # fmt: skip
    config = InferConfig((path,), output, preset="veryfast", crf=10, threads=1)
    assert infer(config, session=Enlarger(scale=1, window=1)).files[0].notes == ()
    before, after = probe(path), probe(output)
    assert after.tracks == ["h264", "aac"]
    assert read_marks(output) == read_marks(path)
    assert len(after.sound) == len(before.sound)
    assert after.offset == pytest.approx(before.offset, abs=0.003)
