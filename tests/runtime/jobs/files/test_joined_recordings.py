"""Recordings that were joined byte by byte, as `cat a.ts b.ts`: nothing moves, no false note."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from support.enlarger import Enlarger
from support.marked_clips import (
    FLAT,
    H264,
    HEVC,
    MARKS,
    MPEG2,
    NOISE,
    make_clip,
    probe,
    read_marks,
    run_program,
)
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer

FRAME = 0.04

MPEG2_2M = f"{MPEG2} -b:v 2M"

KINDS = {
    "h264.ts": f"{H264} -c:a mp2",
    "h264-aac.ts": f"{FLAT} -c:a aac",
    "hevc.ts": f"{HEVC} -c:a aac",
    "mpeg2.ts": f"{MPEG2_2M} -c:a ac3",
    "mpeg2.vob": f"{MPEG2_2M} -c:a ac3",
}


def join(path: Path, *parts: bytes) -> Path:
    path.write_bytes(b"".join(parts))
    return path


def upscale(source: Path, output: Path, audio: str = "copy") -> list[str]:
    """Notes of the run, but for those on the encoder of the audio."""
    config = InferConfig((source,), output, preset="ultrafast", audio=audio)
    done = infer(config, session=Enlarger(scale=1, window=1)).files[0]
    return [note for note in done.notes if "is encoded in" not in note]


@pytest.mark.parametrize("audio", ["copy", "encode"])
@pytest.mark.parametrize("share", [0.55, 0.87])
@pytest.mark.parametrize("name", KINDS)
def test_a_recording_that_was_cut_off_is_not_damaged(
    tmp_path: Path, name: str, share: float, audio: str
) -> None:
    """The first of three recordings ends in the middle of packets, the second with a whole one."""
    parts = [
        make_clip(tmp_path / f"{number}-{name}", KINDS[name], first=25 * number).read_bytes()
        for number in range(3)
    ]
    unit = 188 if name.endswith("ts") else 2048
    first, second = int(len(parts[0]) * share), int(len(parts[1]) * share) // unit * unit
    source = join(tmp_path / name, parts[0][:first], parts[1][:second], parts[2])
    (note,) = upscale(source, tmp_path / "out.mkv", audio)
    assert note.startswith("the clock restarts at ")
    after = probe(tmp_path / "out.mkv")
    assert len(after.times) == len(probe(source).times)
    steps = np.diff(after.times)
    assert steps.min() > 0.9 * FRAME
    assert read_marks(tmp_path / "out.mkv")[-25:] == list(range(50, 75))


NEAR = {"overlap": 6.98, "at once": 7.0, "gap": 7.06, "ahead": 15.0}
"""Time at which the second recording begins, seconds; the first one lasts from 5 to 7."""


@pytest.mark.parametrize("begin", NEAR.values(), ids=NEAR)
@pytest.mark.parametrize("name", KINDS)
def test_a_recording_whose_clock_hardly_differs_is_not_damaged(
    tmp_path: Path, name: str, begin: float
) -> None:
    """No clock says that it is another one; its times are kept, as FFmpeg does."""
    words = f"{KINDS[name]} {NOISE if name.endswith('vob') else ''} -output_ts_offset"
    parts = [
        make_clip(tmp_path / f"{n}-{name}", f"{words} {offset}", seconds=2, first=50 * n)
        for n, offset in enumerate((5, begin))
    ]
    source = join(tmp_path / name, *(part.read_bytes() for part in parts))
    assert upscale(source, tmp_path / "out.mkv") == []
    after, sound = probe(tmp_path / "out.mkv"), [probe(part).sound for part in parts]
    assert read_marks(tmp_path / "out.mkv") == list(range(100))
    steps = np.diff(after.times)
    assert steps[49] == pytest.approx(max(begin - 7, 0) + FRAME, abs=FRAME)
    np.testing.assert_allclose(np.delete(steps, 49), FRAME, atol=0.002)
    assert len(after.sound) == sum(map(len, sound))
    second = after.times[50] - after.sound[len(sound[0])]
    assert abs(second - probe(parts[1]).offset) < FRAME


class Pipe(io.BytesIO):
    """A stream that cannot go back."""

    def seekable(self) -> bool:
        return False


@pytest.mark.parametrize("skipped", [0, 0.32])
@pytest.mark.parametrize("begin", [*NEAR.values(), 5])
@pytest.mark.parametrize("name", KINDS)
def test_a_pipe_gives_what_a_file_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, begin: float, skipped: float
) -> None:
    """Also where the second recording begins in the middle of a group of pictures."""
    words = f"{KINDS[name]} {NOISE if name.endswith('vob') else ''} -output_ts_offset"
    parts = [
        make_clip(tmp_path / f"{n}-{name}", f"{words} {offset}", seconds=2, first=50 * n)
        for n, offset in enumerate((5, begin))
    ]
    unit = 188 if name.endswith("ts") else 2048
    first, second = (part.read_bytes() for part in parts)
    source = join(tmp_path / name, first, second[int(len(second) * skipped) // unit * unit :])
    notes = upscale(source, tmp_path / "file.mkv")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Pipe(source.read_bytes())))
    assert upscale(Path("-"), tmp_path / "pipe.mkv") == notes
    assert probe(tmp_path / "pipe.mkv") == probe(tmp_path / "file.mkv")
    assert read_marks(tmp_path / "pipe.mkv") == read_marks(tmp_path / "file.mkv")


@pytest.mark.parametrize("seconds", [1, 2, 12])
@pytest.mark.parametrize("delay", [0.2, 0.6])
@pytest.mark.parametrize("suffix", ["ts", "vob"])
def test_audio_that_begins_with_a_later_recording_stays_with_its_pictures(
    tmp_path: Path, suffix: str, delay: float, seconds: int
) -> None:
    """Also where its packets come before the pictures, by which the clock is known."""
    codec = f"{H264} -c:a aac" if suffix == "ts" else f"{MPEG2_2M} {NOISE} -c:a mp2"
    silent = make_clip(tmp_path / f"silent.{suffix}", f"{codec} -an", seconds=seconds)
    later = tmp_path / f"later.{suffix}"
    run_program(
        "ffmpeg", "-itsoffset", str(delay), "-f", "lavfi", "-i", MARKS, "-f", "lavfi", "-i",
        "sine=f=440:r=48000", "-t", "2", *codec.split(), later,
    )  # fmt: skip
    source = join(tmp_path / f"joined.{suffix}", silent.read_bytes(), later.read_bytes())
    notes = upscale(source, tmp_path / "out.mkv")
    assert notes == [f"the clock restarts at {seconds}.0 s"]
    after = probe(tmp_path / "out.mkv")
    assert abs(after.times[25 * seconds] - after.sound[0] - probe(later).offset) < FRAME


def test_a_second_audio_track_of_a_later_recording_is_found(tmp_path: Path) -> None:
    """FFmpeg knows of it from the beginning, but not its sample rate."""
    first = make_clip(tmp_path / "first.ts", f"{H264} -c:a mp2", seconds=15)
    words = f"-filter_complex asplit[a][b] -map 0:v -map [a] -map [b] {H264} -c:a mp2"
    later = make_clip(tmp_path / "later.ts", words, seconds=2, first=25)
    source = join(tmp_path / "joined.ts", first.read_bytes(), later.read_bytes())
    assert upscale(source, tmp_path / "out.mkv") == ["the clock restarts at 15.0 s"]
    after = probe(tmp_path / "out.mkv")
    assert len(after.tracks) == 3
    assert len(after.sound) >= len(probe(source).sound)


def test_audio_that_only_a_later_recording_of_other_codecs_has_is_named(tmp_path: Path) -> None:
    silent = make_clip(tmp_path / "silent.ts", f"{H264} -an")
    later = make_clip(tmp_path / "later.ts", f"{HEVC} -c:a aac", first=25)
    source = join(tmp_path / "joined.ts", silent.read_bytes(), later.read_bytes())
    notes = upscale(source, tmp_path / "out.mkv")
    assert "the clock restarts at 1.0 s" in notes
    assert [note for note in notes if note.startswith("audio (aac) of a later recording")]
    assert read_marks(tmp_path / "out.mkv") == list(range(50))


@pytest.mark.parametrize("result", ["mkv", "mp4", "ts"])
@pytest.mark.parametrize("kept", ["mkv", "flv"])
def test_audio_that_overlaps_in_a_remuxed_file_is_not_damaged(
    tmp_path: Path, kept: str, result: str
) -> None:
    """Where recordings overlap, `ffmpeg -c copy` gives several packets the same time."""
    parts = [
        make_clip(tmp_path / f"{n}.ts", f"{H264} -c:a aac -output_ts_offset {n}", first=25 * n)
        for n in range(2)
    ]
    joined = join(tmp_path / "joined.ts", *(part.read_bytes() for part in parts))
    source, output = tmp_path / f"a.{kept}", tmp_path / f"out.{result}"
    bare = ("-bsf:a", "aac_adtstoasc") if kept == "flv" else ()
    run_program("ffmpeg", "-i", joined, "-c", "copy", *bare, source)
    sound = probe(source).sound
    assert np.diff(sound).min() == 0
    notes = upscale(source, output)
    assert [note for note in notes if "not increase" not in note] == []
    after = probe(output).sound
    assert len(after) == len(sound)
    assert np.diff(after).min() > 0
    assert abs(after[-1] - after[0] - (sound[-1] - sound[0])) < 0.002


SMALL = {
    "behind": (5, 1, "the clock restarts at "),
    "overlap": (5, 6.7, "the clock restarts at "),
    "at once": (5, 7, ""),
    "ahead": (0, 4, ""),
}
"""Times at which two recordings begin, seconds, and what is said."""


@pytest.mark.parametrize("name", SMALL)
def test_small_pictures_of_a_program_stream_are_kept_at_a_joint(tmp_path: Path, name: str) -> None:
    """Few of them have a time, so that the rate and the joint cannot be told from these."""
    *begins, said = SMALL[name]
    words = f"{H264} -c:a mp2 -output_ts_offset"
    parts = [
        make_clip(tmp_path / f"{n}.mpg", f"{words} {begin}", seconds=2, first=50 * n).read_bytes()
        for n, begin in enumerate(begins)
    ]
    source = join(tmp_path / "joined.mpg", *parts)
    notes = [note for note in upscale(source, tmp_path / "out.mkv") if "not increase" not in note]
    assert [note[: len(said)] for note in notes] == ([said] if said else [])
    assert read_marks(tmp_path / "out.mkv") == list(range(100))
    steps = np.diff(probe(tmp_path / "out.mkv").times)
    assert np.median(steps) == pytest.approx(FRAME, abs=0.002)
    gap = max(0, begins[1] - begins[0] - 2)
    assert steps.sum() == pytest.approx(99 * FRAME + gap, abs=0.7)


def test_every_restart_is_named_however_short_the_recordings_are(tmp_path: Path) -> None:
    parts = [
        make_clip(tmp_path / f"{number}.ts", f"{H264} -c:a aac", first=25 * number).read_bytes()
        for number in range(4)
    ]
    source = join(tmp_path / "joined.ts", *parts)
    assert upscale(source, tmp_path / "out.mkv") == ["the clock restarts at 1.0 s, 2.0 s, 3.0 s"]
    assert read_marks(tmp_path / "out.mkv") == list(range(100))
    np.testing.assert_allclose(np.diff(probe(tmp_path / "out.mkv").times), FRAME, atol=0.002)


BEEP = "aevalsrc=if(between(t\\,0.5\\,0.7)\\,0.6*sin(2764*t)\\,0):s=48000"
PARTS, FRAMES = 5, 40


def beeps_in(path: Path) -> list[float]:
    """When tones begin, seconds."""
    words: list[str | Path] = ["-copyts", "-i", path, "-map", "0:a", "-ac", "1", "-f", "f32le"]
    exact = ["-af", "aresample=48000:async=1:min_hard_comp=0.001:first_pts=0", "-"]
    sound = np.abs(np.frombuffer(run_program("ffmpeg", *words, *exact), np.float32))
    loud = np.convolve(sound, np.ones(96) / 96, "same") > 0.15
    begins = np.flatnonzero(loud[1:] & ~loud[:-1]) / 48000
    return [float(at) for at in begins if not loud[max(0, int(at * 48000) - 9600)]]


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "webm", "avi", "ts"])
@pytest.mark.parametrize("codec", ["aac", "mp2"])
def test_encoded_audio_stays_with_the_pictures_at_each_joint(
    tmp_path: Path, codec: str, suffix: str
) -> None:
    """The audio of each recording is longer than its pictures; that must not add up."""
    parts = []
    for number in range(PARTS):
        part = tmp_path / f"{number}.ts"
        marks = MARKS.replace("(N/", f"((N+{number * FRAMES})/")
        run_program(
            "ffmpeg", "-f", "lavfi", "-i", marks, "-f", "lavfi", "-i", BEEP, "-t", "1.6",
            *H264.split(), "-c:a", codec, part,
        )  # fmt: skip
        parts.append(part.read_bytes())
    source, output = join(tmp_path / "joined.ts", *parts), tmp_path / f"out.{suffix}"
    upscale(source, output, "encode")
    begins, times = beeps_in(output), probe(output).times
    assert len(begins) == PARTS
    assert len(times) == PARTS * FRAMES
    distances = [begin - times[FRAMES * number] for number, begin in enumerate(begins)]
    np.testing.assert_allclose(distances, 0.5, atol=0.015)


@pytest.mark.parametrize("seconds", [0.1, 1.5])
@pytest.mark.parametrize(
    ("codec", "suffix"), [("mp2", "mkv"), ("aac", "mkv"), ("aac", "mp4"), ("ac3", "mov")]
)
def test_audio_is_copied_where_the_clock_wraps(
    tmp_path: Path, codec: str, suffix: str, seconds: float
) -> None:
    """The first packets of the audio, by which the container is tried, may lie around the wrap."""
    words = f"{MPEG2_2M} -c:a {codec} -output_ts_offset {2**33 / 90000 - 1.4 - seconds}"
    source, output = make_clip(tmp_path / "a.ts", words, seconds=2), tmp_path / f"out.{suffix}"
    notes = upscale(source, output)
    assert [note for note in notes if "clock restarts" not in note] == []
    before, after = probe(source), probe(output)
    assert after.tracks == ["h264", codec]
    assert len(after.sound) == len(before.sound)
    assert np.diff(after.sound).max() < 0.05
