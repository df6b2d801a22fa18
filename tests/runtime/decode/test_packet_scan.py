"""Numbers of frames and lengths that are announced, against what ffprobe counts."""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction
from pathlib import Path

import pytest

from support.marked_clips import make_clip, probe
from vsrc.runtime.decode.packet_scan import scan_packets
from vsrc.runtime.decode.video_reader import VideoReader

H264 = "-c:v libx264 -preset ultrafast -bf 2 -b_strategy 0 -g 10"
HIDDEN = "-c:v libvpx-vp9 -b:v 200k -auto-alt-ref 1 -lag-in-frames 16 -deadline good -cpu-used 5"
GAP = "-vf setpts=N/25/TB+gte(N\\,7)*72000/TB -t 80000 -frames:v 25"

KINDS = {
    "h264.mkv": f"{H264} -c:a aac",
    "h264.ts": f"{H264} -c:a mp2",
    "h264.flv": f"{H264} -c:a aac",
    "mpeg2.vob": "-c:v mpeg2video -bf 2 -c:a mp2",
    "hidden.webm": f"{HIDDEN} -c:a libopus",
    "gap.mkv": f"{GAP} -c:v mjpeg -pix_fmt yuvj420p -an",
    "h264.asf": f"{H264} -c:a libmp3lame",
}

VARIABLE = "-vf select=not(mod(n\\,7))+lt(mod(n\\,5)\\,2) -fps_mode vfr -an"
VARIABLE_KINDS = {
    "x264.mkv": "-c:v libx264 -preset ultrafast",
    "x264.mp4": "-c:v libx264 -preset ultrafast",
    "x264.ts": "-c:v libx264 -preset ultrafast",
    "mjpeg.avi": "-c:v mjpeg -pix_fmt yuvj420p",  # empty chunks where frames were dropped
    "vp8.webm": "-c:v libvpx -deadline realtime",
}


@pytest.mark.parametrize("name", KINDS)
def test_the_announced_frames_are_those_that_are_there(tmp_path: Path, name: str) -> None:
    source = make_clip(tmp_path / name, KINDS[name])
    with closing(VideoReader(source, is_strict=True)) as reader:
        assert reader.info.estimated_frames == len(probe(source).times)


@pytest.mark.parametrize("name", VARIABLE_KINDS)
def test_a_variable_rate_is_announced_with_the_exact_number(tmp_path: Path, name: str) -> None:
    source = make_clip(tmp_path / name, f"{VARIABLE} {VARIABLE_KINDS[name]}")
    with closing(VideoReader(source, is_strict=True)) as reader:
        frames = sum(1 for _ in reader)
        assert 0 < frames < 20
        assert f", {frames} frames, " in str(reader.info)


def test_only_a_part_that_was_read_is_about_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsrc.runtime.decode.packet_scan._MOST_BYTES", 2000)
    source = make_clip(tmp_path / "h264.mkv", KINDS["h264.mkv"])
    with closing(VideoReader(source, is_strict=True)) as reader:
        assert ", about " in str(reader.info)


@pytest.mark.parametrize("name", ["h264.ts", "mpeg2.vob"])
def test_clock_jumps_are_no_part_of_what_is_announced(tmp_path: Path, name: str) -> None:
    """The second recording begins 1000 seconds later, the third before both."""
    offsets = (100, 1100, 0)
    parts = [
        make_clip(tmp_path / f"{at}-{name}", f"{KINDS[name]} -output_ts_offset {at}")
        for at in offsets
    ]
    source = tmp_path / name
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    with closing(VideoReader(source, is_strict=True)) as reader:
        assert reader.info.estimated_frames == len(probe(source).times)
        assert reader.info.duration == pytest.approx(3, abs=0.1)


def test_the_longest_gap_and_its_place_are_found(tmp_path: Path) -> None:
    scan = scan_packets(make_clip(tmp_path / "gap.mkv", KINDS["gap.mkv"]))
    assert scan is not None
    assert (scan.frames, scan.step) == (25, Fraction(1, 25))
    assert scan.longest_gap == 72000 + Fraction(1, 25)
    assert scan.gap_begin == Fraction(6, 25)
