"""Files whose end was cut off or never written, and audio that begins late."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from support.marked_clips import FLAT, H264, MPEG2, probe, read_marks, run_program
from support.marked_runs import FRAME, MPEG4, TICK, make, said, upscale
from vsrc.runtime.errors import MediaError


def cut(source: Path, target: Path, stop: int) -> Path:
    target.write_bytes(source.read_bytes()[:stop])
    return target


@pytest.mark.parametrize("words", [H264, FLAT, MPEG4, "-c:v mjpeg -pix_fmt yuvj420p"])
def test_avi_says_how_many_of_its_frames_are_missing(tmp_path: Path, words: str) -> None:
    whole = make(tmp_path / "whole.avi", f"{words} -c:a libmp3lame", seconds=2)
    source = cut(whole, tmp_path / "cut.avi", whole.stat().st_size // 2)
    result = upscale(source, tmp_path / "out.mkv")
    there = len(probe(source).times)
    assert result.frames == there < 40
    # Some headers of ffmpeg count one more.
    assert any(re.search(r"of 5[01] frames are present", note) for note in said(result))


def test_avi_with_empty_chunks_is_whole(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.avi", "-vf framestep=2,fps=25 -c:v mpeg4 -c:a libmp3lame")
    source = tmp_path / "skipped.avi"
    run_program("ffmpeg", "-i", whole, "-vf", "setpts=N*5/25/TB", "-fps_mode", "vfr", "-an", source)
    assert said(upscale(source, tmp_path / "out.mkv")) == []


@pytest.mark.parametrize("missing", [2, 200, 0.3, 0.9])
def test_a_part_of_a_picture_at_the_end_is_shown(tmp_path: Path, missing: float) -> None:
    """FFmpeg decodes what is there, and calls no frame corrupt for it."""
    whole = make(tmp_path / "whole.mjpeg", "-c:v mjpeg -pix_fmt yuvj420p -vf scale=320:240 -an")
    last = whole.stat().st_size - whole.read_bytes().rindex(b"\xff\xd8\xff")
    lost = int(missing if missing >= 1 else missing * last)
    source = cut(whole, tmp_path / "cut.mjpeg", whole.stat().st_size - lost)
    result = upscale(source, tmp_path / "out.mkv")
    assert read_marks(tmp_path / "out.mkv")[:24] == list(range(24))
    assert result.frames == 25  # where FFmpeg decodes nothing, the frame before is repeated
    assert bool(said(result)) is (len(probe(source).times) < 25)


def boxes(data: bytes) -> list[tuple[bytes, int]]:
    """Name and first byte of each outermost box."""
    found, place = [], 0
    while place < len(data):
        found.append((data[place + 4 : place + 8], place))
        place += int.from_bytes(data[place : place + 4], "big")
    return found


@pytest.mark.parametrize("box", [b"moof", b"mdat"])
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_fragments_before_the_one_that_was_cut_off_are_upscaled(
    tmp_path: Path, suffix: str, box: bytes
) -> None:
    fragments = "-movflags frag_keyframe+empty_moov"
    whole = make(tmp_path / f"whole.{suffix}", f"{H264} -c:a aac {fragments}", seconds=2)
    third = [place for name, place in boxes(whole.read_bytes()) if name == box][2]
    source = cut(whole, tmp_path / f"cut.{suffix}", third + 20)
    result = upscale(source, tmp_path / "out.mkv")
    marks = read_marks(tmp_path / "out.mkv")
    assert marks[:20] == list(range(20))
    assert result.frames == len(marks)
    np.testing.assert_allclose(np.diff(probe(tmp_path / "out.mkv").times)[:19], FRAME, atol=TICK)
    upscale(source, tmp_path / "part.mkv", start=0.4, frames=5)
    assert read_marks(tmp_path / "part.mkv") == list(range(10, 15))


def test_an_mp4_without_its_index_says_so(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.mp4", f"{H264} -c:a aac")
    source = cut(whole, tmp_path / "cut.mp4", whole.stat().st_size // 2)
    with pytest.raises(MediaError, match=r"has no index .moov., which is written at the end"):
        upscale(source, tmp_path / "out.mkv")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_an_empty_file_says_so(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(MediaError, match="is empty"):
        upscale(tmp_path / name, tmp_path / "out.mkv")


def test_audio_that_begins_behind_what_ffmpeg_probes_is_kept(tmp_path: Path) -> None:
    source = tmp_path / "late.ts"
    noise = "testsrc=s=160x120:r=25,noise=alls=90:allf=t"
    sources = ("-f", "lavfi", "-i", noise, "-itsoffset", "11", "-f", "lavfi", "-i", "sine=d=1")
    run_program("ffmpeg", *sources, "-t", "12", *f"{MPEG2} -q:v 1 -c:a mp2".split(), source)
    result = upscale(source, tmp_path / "out.mkv", start=10.8)
    assert said(result) == []
    after = probe(tmp_path / "out.mkv")
    assert after.tracks == ["ffv1", "mp2"]
    assert abs(after.offset + 0.2) < 2 * FRAME


def test_audio_of_a_second_recording_alone_is_kept(tmp_path: Path) -> None:
    parts = [
        make(tmp_path / "1.ts", f"{MPEG2} -an", seconds=12),
        make(tmp_path / "2.ts", f"{MPEG2} -c:a mp2", first=300),
    ]
    source = tmp_path / "joined.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    result = upscale(source, tmp_path / "out.mkv")
    after = probe(tmp_path / "out.mkv")
    assert read_marks(tmp_path / "out.mkv") == [number % 256 for number in range(325)]
    assert "the clock restarts at 12.0 s" in said(result)
    assert not any("left out" in note for note in said(result))
    # Encoded audio begins with priming samples, and its first packet with them.
    assert abs(after.times[300] - after.sound[0] - probe(parts[1]).offset) < FRAME
