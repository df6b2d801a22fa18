"""AVI: one chunk a frame at the rate of the source, judged by ffprobe."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from vsrc.runtime.encode.avi import FrameGrid
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer

Make = Callable[..., Any]

LINES = {
    "a.mkv": "-r 24 -c:v libx264 -bf 2 -c:a aac",
    "b.mp4": "-r 30000/1001 -c:v libx264 -bf 2 -c:a aac",
    "c.ts": "-r 25 -c:v libx264 -bf 2 -c:a mp2",
    "d.mov": "-r 60 -video_track_timescale 600 -c:v mpeg4 -c:a pcm_s16le",
    "e.flv": "-r 30 -c:v flv -c:a aac",
}
"""Time bases of many kinds, after `-f lavfi -i testsrc2 ... -i sine`."""


def restore(source: Path, output: Path, enlarger: Make) -> tuple[str, ...]:
    config = InferConfig((source,), output, preset="ultrafast")
    return infer(config, session=enlarger(scale=1)).files[0].notes


def facts(ffprobe: Make, path: Path) -> tuple[dict[str, Any], list[float], dict[str, Any]]:
    """Video stream, times of its frames, and audio stream."""
    found = ffprobe(path, "-count_frames", "-show_streams", "-show_frames",
                    "-show_entries", "frame=media_type,best_effort_timestamp_time")  # fmt: skip
    kinds = {stream["codec_type"]: stream for stream in found["streams"]}
    times = [
        float(frame["best_effort_timestamp_time"])
        for frame in found["frames"]
        if frame["media_type"] == "video"
    ]
    return kinds["video"], times, kinds.get("audio", {})


@pytest.mark.parametrize("name", LINES)
def test_each_frame_is_one_chunk_at_the_rate_of_the_source(
    tmp_path: Path, ffmpeg: Make, ffprobe: Make, enlarger: Make, name: str
) -> None:
    source, output = tmp_path / name, tmp_path / "out.avi"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=60:d=1", "-f", "lavfi", "-i", "sine=d=1",
           *LINES[name].split(), source)  # fmt: skip
    assert restore(source, output, enlarger) == ()
    rate = Fraction(LINES[name].split()[1])
    before, after = facts(ffprobe, source), facts(ffprobe, output)
    video, times, audio = after
    assert Fraction(video["avg_frame_rate"]) == Fraction(video["r_frame_rate"]) == rate
    assert int(video["nb_frames"]) == int(video["nb_read_frames"]) == len(before[1])
    assert times == pytest.approx([n / float(rate) for n in range(len(times))], abs=1e-3)
    assert audio["codec_name"] == before[2]["codec_name"]
    offset = [float(start) - seen[0] for seen, start in (
        (before[1], before[2]["start_time"]), (times, audio["start_time"]))]  # fmt: skip
    assert abs(offset[1] - offset[0]) < 1 / rate


def test_a_rate_that_varies_goes_on_the_grid_that_it_lies_on(
    tmp_path: Path, ffmpeg: Make, ffprobe: Make, enlarger: Make
) -> None:
    source, output = tmp_path / "a.mp4", tmp_path / "out.avi"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=30:d=1", "-vf",
           "select='not(mod(n\\,7)*mod(n\\,4))'", "-vsync", "vfr", source)  # fmt: skip
    assert restore(source, output, enlarger) == ()
    before, after = facts(ffprobe, source), facts(ffprobe, output)
    assert after[1] == pytest.approx(before[1], abs=1e-3)


def test_times_that_no_grid_holds_are_said(
    tmp_path: Path, write_clip: Make, moving: Make, ffprobe: Make, enlarger: Make
) -> None:
    times_ms = [0, 10, 50, 53, 130, 170, 174, 250, 251, 330]
    source = write_clip(tmp_path / "a.mkv", moving(10), pts=times_ms, time_base=Fraction(1, 1000))
    (note,) = restore(source, tmp_path / "out.avi", enlarger)
    assert note.startswith("AVI has a constant frame rate")
    video, times, _ = facts(ffprobe, tmp_path / "out.avi")
    assert int(video["nb_read_frames"]) == len(set(times)) == 10


def test_the_first_frame_sets_the_phase_and_no_two_share_a_chunk() -> None:
    grid = FrameGrid(Fraction(25), Fraction(1, 1000), first=21)
    assert [grid.place(pts) for pts in (21, 61, 101, 102, 181)] == [0, 1, 2, 3, 4]
    (note,) = grid.notes()
    assert "1 frame is shown" in note
    assert "39 ms" in note
