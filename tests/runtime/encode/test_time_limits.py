"""Long gaps in time: all frames at their times where the container holds them, else a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from support.enlarger import Enlarger
from support.marked_clips import make_clip, probe, read_marks
from vsrc.runtime.errors import MediaError
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer

HOUR = 3600

GAPS = {
    "20h.mkv": (20, "-c:v mjpeg -pix_fmt yuvj420p"),
    "20h-90khz.mov": (20, "-c:v mjpeg -pix_fmt yuvj420p -video_track_timescale 12800"),
    "1800h.mkv": (1800, "-c:v mjpeg -pix_fmt yuvj420p"),
    "20h-uneven.mkv": (20, "-c:v mjpeg -pix_fmt yuvj420p"),
}


def make(path: Path, hours: int, words: str) -> Path:
    uneven = "+0.001*mod(N\\,3)" if "uneven" in path.name else ""
    stamps = f"setpts=(N/25{uneven}+gte(N\\,7)*{hours * HOUR})/TB"
    limits = f"-an -t {2 * hours * HOUR} -frames:v 25 -enc_time_base 1:1000 -vsync vfr"
    return make_clip(path, f"-vf {stamps} {limits} {words}")


def upscale(source: Path, output: Path, codec: str | None = None) -> None:
    config = InferConfig((source,), output, codec=codec)
    (done,) = infer(config, session=Enlarger(scale=1, window=1)).files
    assert (done.frames, done.notes) == (25, ())


@pytest.mark.parametrize(("suffix", "codec"), [
    ("mp4", None), ("mp4", "x265"), ("mov", None), ("mkv", None), ("webm", None),
])  # fmt: skip
@pytest.mark.parametrize("name", GAPS)
def test_a_gap_is_kept(tmp_path: Path, name: str, suffix: str, codec: str | None) -> None:
    source, output = make(tmp_path / name, *GAPS[name]), tmp_path / f"out.{suffix}"
    upscale(source, output, codec)
    before, after = probe(source).times, probe(output).times
    assert len(before) == 25
    np.testing.assert_allclose(after, before, atol=0.002)
    assert after[7] - after[6] > GAPS[name][0] * HOUR
    if suffix != "webm":  # marks do not survive its default quality on so few pixels
        assert read_marks(output) == list(range(25))


@pytest.mark.parametrize(
    ("name", "suffix", "words"),
    [
        ("20h.mkv", "avi", "avi cannot store the gap of 20.0 h after 0.2 s"),
        ("1800h.mkv", "ts", r"mpegts cannot store .* \(at most 26.5 h\)"),
        ("1800h.mkv", "flv", "flv cannot store the gap of 1800.0 h"),
    ],
)
def test_a_gap_that_is_too_long_is_named_before_the_work(
    tmp_path: Path, name: str, suffix: str, words: str
) -> None:
    source, output = make(tmp_path / name, *GAPS[name]), tmp_path / f"out.{suffix}"
    session = Enlarger(scale=1, window=1)
    with pytest.raises(MediaError, match=f"{words}.*name the output .mkv"):
        infer(InferConfig((source,), output), session=session)
    assert session.fed == []
    assert not output.exists()
