"""Files whose clock restarts or wraps: pictures and sound run on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from support.marked_clips import FLAT, H264, HEVC, MPEG2, NOISE, probe, read_marks, run_program
from support.marked_runs import FRAME, TICK, VP8, make, said, upscale


def join(path: Path, *parts: Path) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


JOINED = {
    "h264.ts": (f"{H264} -c:a mp2", f"{H264} -c:a mp2"),
    "h264-flat-first.ts": (f"{FLAT} -c:a mp2", f"{H264} -c:a mp2"),
    "h264-flat-second.ts": (f"{H264} -c:a mp2", f"{FLAT} -c:a mp2"),
    "hevc.ts": (f"{HEVC} -c:a aac", f"{HEVC} -c:a aac"),
    "mpeg2.ts": (f"{MPEG2} -c:a mp2", f"{MPEG2} -c:a mp2"),
    "mpeg2.vob": (f"{MPEG2} -c:a mp2", f"{MPEG2} -c:a mp2"),
    "mpeg2.mpg": (f"{MPEG2} -c:a mp2", f"{MPEG2} -c:a mp2"),
    # The clock of the second part is ahead by more than ten seconds, or far behind.
    "ahead.ts": (f"{H264} -c:a mp2", f"{H264} -c:a mp2 -output_ts_offset 100"),
    "behind.ts": (f"{H264} -c:a mp2 -output_ts_offset 1000", f"{H264} -c:a mp2"),
    "behind.vob": (f"{MPEG2} -c:a mp2 -output_ts_offset 1000", f"{MPEG2} -c:a mp2"),
}


@pytest.mark.parametrize("name", JOINED)
def test_joined_recordings_run_on(tmp_path: Path, name: str) -> None:
    first, second = JOINED[name]
    parts = [
        make(tmp_path / f"1-{name}", first), make(tmp_path / f"2-{name}", second, first=25),
    ]  # fmt: skip
    source = join(tmp_path / name, *parts)
    result = upscale(source, tmp_path / "out.mkv")
    after = probe(tmp_path / "out.mkv")
    assert read_marks(tmp_path / "out.mkv") == list(range(50))
    ahead = (
        "the clock jumps ahead at 1.0 s, by 1 min 39 s: what follows counts as another recording"
    )
    (note,) = said(result)
    assert note.startswith(ahead if name == "ahead.ts" else "the clock restarts at 1.0 s")
    np.testing.assert_allclose(np.diff(after.times), FRAME, atol=2 * TICK)
    assert len(after.sound) == sum(len(probe(part).sound) for part in parts)
    assert abs(after.offset - probe(parts[0]).offset) < FRAME
    # Sound and pictures of the second part stay together, too.
    after_joint = after.sound[len(probe(parts[0]).sound)]
    assert abs(after.times[25] - after_joint - probe(parts[1]).offset) < FRAME


def test_start_counts_continuous_time(tmp_path: Path) -> None:
    words = f"{FLAT} -c:a mp2"
    parts = [make(tmp_path / f"{n}.ts", words, first=50 * n, seconds=2) for n in range(4)]
    source = join(tmp_path / "joined.ts", *parts)
    upscale(source, tmp_path / "out.mkv", start=6.4, frames=10)
    assert read_marks(tmp_path / "out.mkv") == list(range(160, 170))
    after = probe(tmp_path / "out.mkv")
    assert len(after.sound) >= 10 * FRAME // 0.024 - 1
    assert abs(after.offset) < FRAME


@pytest.mark.parametrize("name", ["h264.ts", "mpeg2.vob"])
def test_a_clock_that_wraps_runs_on(tmp_path: Path, name: str) -> None:
    words = f"{H264 if name == 'h264.ts' else MPEG2} -c:a mp2"
    wrap = 2**33 / 90000
    source = make(tmp_path / name, f"{words} -output_ts_offset {wrap - 2}", seconds=2)
    result = upscale(source, tmp_path / "out.mkv")
    after = probe(tmp_path / "out.mkv")
    assert read_marks(tmp_path / "out.mkv") == list(range(50))
    np.testing.assert_allclose(np.diff(after.times), FRAME, atol=2 * TICK)
    assert [note for note in said(result) if "restarts" not in note] == []


GAP = f"{NOISE},setpts=N/25/TB+gte(N\\,10)*72000/TB -fps_mode vfr -an -t 80000 -frames:v 25"


@pytest.mark.parametrize("suffix", ["ts", "mpg", "vob"])
def test_a_jump_of_hours_is_joined_as_ffmpeg_does_and_named(tmp_path: Path, suffix: str) -> None:
    words = f"{FLAT if suffix == 'ts' else f'{MPEG2} -bf 0 -b:v 2M'} {GAP}"
    source = make(tmp_path / f"gap.{suffix}", words, seconds=1)
    run_program("ffmpeg", "-i", source, "-c:v", "ffv1", "-fps_mode", "vfr", tmp_path / "ffmpeg.mkv")
    (note,) = said(upscale(source, tmp_path / "out.mkv"))
    assert note.startswith("the clock jumps ahead at 0.4 s, by 20 h 00 min: ")
    times = probe(tmp_path / "out.mkv").times
    assert read_marks(tmp_path / "out.mkv") == list(range(25))
    np.testing.assert_allclose(np.diff(times), FRAME, atol=TICK)
    if suffix == "ts":  # of .mpg and .vob ffmpeg drops the frames behind the jump
        np.testing.assert_allclose(times, probe(tmp_path / "ffmpeg.mkv").times, atol=TICK)


def test_the_documented_copy_of_a_stream_keeps_a_jump_as_a_gap(tmp_path: Path) -> None:
    source = make(tmp_path / "gap.ts", f"{FLAT} {GAP}", seconds=1)
    run_program("ffmpeg", "-copyts", "-i", source, "-c", "copy", tmp_path / "gap.mkv")
    assert said(upscale(tmp_path / "gap.mkv", tmp_path / "out.mkv")) == []
    steps = np.diff(probe(tmp_path / "out.mkv").times)
    assert steps[9] == pytest.approx(72000 + FRAME, abs=TICK)
    np.testing.assert_allclose(np.delete(steps, 9), FRAME, atol=TICK)


TRUE_TIMES = {
    "mp4": FLAT, "mov": FLAT, "mkv": FLAT, "webm": VP8,
    "flv": FLAT, "nut": FLAT, "wmv": "-c:v wmv2", "asf": "-c:v wmv2",
}  # fmt: skip


@pytest.mark.parametrize("suffix", TRUE_TIMES)
def test_containers_with_true_times_keep_a_gap_of_hours(tmp_path: Path, suffix: str) -> None:
    """Compared with ffprobe's times of the source; the estimate of the disk counts the packets."""
    words = f"{TRUE_TIMES[suffix]} {GAP}"
    source = make(tmp_path / f"gap.{suffix}", words, seconds=1)
    result = upscale(source, tmp_path / "out.mkv")
    before, after = probe(source).times, probe(tmp_path / "out.mkv").times
    assert len(after) == 25
    np.testing.assert_allclose(np.diff(after), np.diff(before), atol=2 * TICK)
    assert max(np.diff(after)) == pytest.approx(72000 + FRAME, abs=2 * TICK)
    assert said(result) == []


# Containers without a clock of their own, whose files were joined all the same.

OTHERS = {
    "h264.mkv": f"{H264} -c:a aac",
    "vp8.webm": f"{VP8} -c:a libvorbis",
    "h264.flv": f"{H264} -c:a aac",
    "flv1.flv": "-c:v flv -q:v 2 -c:a libmp3lame -ar 44100",
}

FLV_HEADER, AUDIO_TAG = 13, 8
"""Bytes before the first tag of Flash video, and the type of one with audio (its specification,
annex E)."""


@pytest.mark.parametrize("name", OTHERS)
def test_a_clock_that_begins_again_in_other_containers_runs_on(tmp_path: Path, name: str) -> None:
    parts = [
        make(tmp_path / f"{number}-{name}", OTHERS[name], first=25 * number) for number in (0, 1)
    ]
    second = parts[1].read_bytes()
    source = tmp_path / name
    source.write_bytes(
        parts[0].read_bytes() + (second[FLV_HEADER:] if name.endswith("flv") else second)
    )
    result = upscale(source, tmp_path / "out.mkv")
    after = probe(tmp_path / "out.mkv")
    assert read_marks(tmp_path / "out.mkv") == list(range(50))
    assert said(result) == ["the clock restarts at 1.0 s"]
    np.testing.assert_allclose(np.diff(after.times), FRAME, atol=TICK)
    sound = [probe(part).sound for part in parts]
    assert len(after.sound) == sum(map(len, sound))
    assert len(after.tracks) == 2
    after_joint = after.sound[len(sound[0])]
    assert abs(after.times[25] - after_joint - probe(parts[1]).offset) < FRAME
    # An index of the first part would lead there.
    upscale(source, tmp_path / "part.mkv", start=1.2, frames=5)
    assert read_marks(tmp_path / "part.mkv") == list(range(30, 35))


def test_a_gap_of_a_container_without_a_clock_is_no_restart(tmp_path: Path) -> None:
    words = f"{H264} -c:a aac -af apad -vf setpts=N/25/TB+gte(N\\,13)*30/TB -fps_mode vfr"
    source = make(tmp_path / "gap.mkv", f"{words} -t 32", seconds=32)
    result = upscale(source, tmp_path / "out.mkv")
    before, after = probe(source), probe(tmp_path / "out.mkv")
    np.testing.assert_allclose(after.times, before.times, atol=TICK)
    assert after.times[13] - after.times[12] > 29
    assert said(result) == []


def test_parameters_of_aac_that_are_repeated_leave_the_header_whole(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.flv", f"{H264} -c:a aac").read_bytes()
    source = tmp_path / "repeated.flv"
    tags = list(flv_tags(whole))
    parameters = next(tag for tag in tags if tag[0] == AUDIO_TAG)
    later = (n for n, tag in enumerate(tags) if tag[0] == AUDIO_TAG and tag[4:7] > b"\0\1\0")
    place = next(later)  # behind 256 ms
    source.write_bytes(whole[:FLV_HEADER] + b"".join([*tags[:place], parameters, *tags[place:]]))
    upscale(source, tmp_path / "out.mkv")
    after = probe(tmp_path / "out.mkv")
    assert after.tracks == ["ffv1", "aac"]
    assert len(after.sound) == len(probe(tmp_path / "whole.flv").sound)


def flv_tags(data: bytes) -> Iterator[bytes]:
    """Yield the tags of Flash video, each with its size behind it."""
    place = FLV_HEADER
    while place < len(data):
        end = place + 11 + int.from_bytes(data[place + 1 : place + 4], "big") + 4
        yield data[place:end]
        place = end
