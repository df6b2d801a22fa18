"""What a video carries beside its pictures, compared with ffprobe before and after."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from support.decoded import frames_of, times_of
from vsrc.runtime.decode.clips.clip_frames import read_picture
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.result import InferProgress

Frames = NDArray[np.uint8]
Make = Callable[..., Any]


def packets_of(ffprobe: Make, path: Path, stream: str) -> list[tuple[str, str, str]]:
    """PTS, duration and hash of the bytes of each packet."""
    found = ffprobe(path, "-select_streams", stream, "-show_packets", "-show_data_hash", "md5")[
        "packets"
    ]
    keys = ("pts_time", "duration_time", "data_hash")
    return [tuple(packet[key] for key in keys) for packet in found]


# --- time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "ts"])
def test_time_stamps_are_kept_when_the_rate_varies(
    tmp_path: Path, write_clip: Make, moving: Make, enlarger: Make, ffprobe: Make, suffix: str
) -> None:
    pts = [0, 1, 5, 6, 20, 21, 22, 60, 61, 62, 63, 64]
    source = write_clip(
        tmp_path / f"a.{suffix}", moving(12), pts=pts, time_base=Fraction(1, 30), sound=True
    )
    output = tmp_path / f"b.{suffix}"
    infer(InferConfig((source,), output), session=enlarger())
    stamps = [sorted(stamp for stamp, *_ in pairs_of(ffprobe, path)) for path in (source, output)]
    assert len(stamps[0]) == 12
    assert stamps[0] == stamps[1]


def pairs_of(ffprobe: Make, path: Path) -> list[tuple[float, int]]:
    found = ffprobe(path, "-select_streams", "v", "-show_packets")["packets"]
    return [(float(packet["pts_time"]), int(packet["size"])) for packet in found]


def test_doubling_the_rate_puts_a_frame_into_each_gap(
    tmp_path: Path, write_clip: Make, moving: Make, enlarger: Make
) -> None:
    pts = [0, 1, 5, 6, 20]
    source = write_clip(tmp_path / "a.mp4", moving(5), pts=pts, time_base=Fraction(1, 30))
    output = tmp_path / "b.mp4"
    result = infer(InferConfig((source,), output), session=enlarger(window=4, time_scale=2))
    assert result.files[0].frames == 9
    doubled = [0, 1, 2, 6, 10, 11, 12, 26, 40]
    assert times_of(output) == [Fraction(stamp, 60) for stamp in doubled]


def test_a_recording_that_begins_at_the_time_of_day_begins_at_zero_in_mp4(
    tmp_path: Path, clip: Path, ffmpeg: Make, enlarger: Make
) -> None:
    source = tmp_path / "a.ts"
    ffmpeg("-i", clip, "-c", "copy", "-output_ts_offset", "40000", source)
    assert times_of(source)[0] > 40000
    infer(InferConfig((source,), tmp_path / "b.mp4"), session=enlarger())
    infer(InferConfig((source,), tmp_path / "b.ts"), session=enlarger())
    assert times_of(tmp_path / "b.ts") == times_of(source)
    moved = times_of(tmp_path / "b.mp4")
    assert 0 <= moved[0] < Fraction(1, 10)
    assert {b - a for a, b in zip(moved, times_of(source), strict=True)} == {
        times_of(source)[0] - moved[0]
    }


# --- what lies beside the pictures ----------------------------------------------------------------


def test_sound_is_copied_packet_by_packet(
    tmp_path: Path, clip: Path, enlarger: Make, ffprobe: Make
) -> None:
    for suffix in ("mp4", "mov"):
        output = tmp_path / f"b.{suffix}"
        infer(InferConfig((clip,), output), session=enlarger())
        expected = packets_of(ffprobe, clip, "a")
        assert len(expected) > 40
        assert packets_of(ffprobe, output, "a") == expected


def test_sound_of_an_excerpt_keeps_its_distance_to_the_pictures(
    tmp_path: Path, clip: Path, enlarger: Make, ffprobe: Make
) -> None:
    output = tmp_path / "b.mp4"
    infer(InferConfig((clip,), output, start=0.4, frames=8), session=enlarger())
    whole = packets_of(ffprobe, clip, "a")
    part = packets_of(ffprobe, output, "a")
    inside = [(float(pts), digest) for pts, _, digest in whole if 0.4 <= float(pts) < 0.72]
    assert [digest for *_, digest in part] == [digest for _, digest in inside]
    times = [float(pts) for pts, *_ in part]
    assert times == pytest.approx([pts - 0.4 for pts, _ in inside], abs=1 / 48000)


@pytest.fixture
def rich_file(tmp_path: Path, clip: Path, ffmpeg: Make) -> Path:
    """Two sound tracks, two subtitle tracks, chapters, a font, tags and dispositions."""
    texts = {
        "en.srt": "1\n00:00:00,100 --> 00:00:00,400\nHello\n\n"
        "2\n00:00:00,500 --> 00:00:00,900\nBye\n",
        "de.srt": "1\n00:00:00,200 --> 00:00:00,800\nGuten Tag\n",
        "chapters.txt": ";FFMETADATA1\ntitle=A film\nartist=Somebody\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=400\ntitle=One\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=400\nEND=960\ntitle=Two\n",
        "font.ttf": "not really a font",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    path = tmp_path / "rich.mkv"
    inputs = [clip, tmp_path / "en.srt", tmp_path / "de.srt", tmp_path / "chapters.txt"]
    maps = ["0:v", "0:a", "0:a", "1", "2"]
    ffmpeg(
        *(word for name in inputs for word in ("-i", name)),
        *(word for name in maps for word in ("-map", name)),
        *("-map_metadata", "3", "-c", "copy", "-c:s", "srt"),
        *("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=ger"),
        *("-metadata:s:a:1", "title=Kommentar", "-metadata:s:s:1", "language=ger"),
        *("-disposition:a:1", "comment", "-disposition:s:1", "forced"),
        *("-attach", tmp_path / "font.ttf", "-metadata:s:t", "mimetype=font/ttf"),
        path,
    )
    for name in texts:
        (tmp_path / name).unlink()
    return path


def described(ffprobe: Make, path: Path) -> list[Any]:
    """Streams and chapters without what belongs to the encoding of the video."""
    found = ffprobe(path, "-show_streams", "-show_chapters", "-show_format")
    streams = []
    for stream in found["streams"]:
        tags = {
            key: value
            for key, value in stream.get("tags", {}).items()
            if key in ("language", "title", "filename", "mimetype")
        }
        streams.append((stream["codec_type"], stream["disposition"], tags))
    chapters = [(c["start_time"], c["end_time"], c["tags"]) for c in found["chapters"]]
    tags = {key: found["format"]["tags"].get(key) for key in ("title", "ARTIST", "artist")}
    return [streams, chapters, tags]


def test_tracks_chapters_attachments_and_tags_are_kept(
    tmp_path: Path, rich_file: Path, enlarger: Make, ffprobe: Make
) -> None:
    output = tmp_path / "b.mkv"
    result = infer(InferConfig((rich_file,), output), session=enlarger())
    assert result.files[0].notes == ()
    assert described(ffprobe, output) == described(ffprobe, rich_file)
    for stream in ("a:0", "a:1", "s:0", "s:1"):
        expected = packets_of(ffprobe, rich_file, stream)
        assert expected
        assert packets_of(ffprobe, output, stream) == expected


def test_what_a_container_cannot_carry_is_said(
    tmp_path: Path, rich_file: Path, enlarger: Make, ffprobe: Make
) -> None:
    seen: list[InferProgress] = []
    result = infer(
        InferConfig((rich_file,), tmp_path / "b.mp4"), session=enlarger(), progress=seen.append
    )
    words = " | ".join(result.files[0].notes)
    assert "the subtitle track 3 (subrip) is converted to mov_text: mp4 cannot carry it" in words
    assert "attachments are left out" in words
    assert seen[0].notes == result.files[0].notes  # said before the wait, not only after it
    kinds = [
        stream["codec_type"] for stream in ffprobe(tmp_path / "b.mp4", "-show_streams")["streams"]
    ]
    assert kinds[:5] == ["video", "audio", "audio", "subtitle", "subtitle"]
    for stream in ("a:0", "a:1"):
        digests = [digest for *_, digest in packets_of(ffprobe, rich_file, stream)]
        assert [digest for *_, digest in packets_of(ffprobe, tmp_path / "b.mp4", stream)] == digests


def test_subtitles_stay_in_mp4(
    tmp_path: Path, rich_file: Path, ffmpeg: Make, ffprobe: Make, enlarger: Make
) -> None:
    source = tmp_path / "a.mp4"
    ffmpeg(
        "-i",
        rich_file,
        "-map",
        "0:v",
        "-map",
        "0:a:0",
        "-map",
        "0:s",
        "-c",
        "copy",
        "-c:s",
        "mov_text",
        source,
    )
    infer(InferConfig((source,), tmp_path / "b.mp4"), session=enlarger())
    for stream in ("s:0", "s:1"):
        expected = packets_of(ffprobe, source, stream)
        assert expected
        assert packets_of(ffprobe, tmp_path / "b.mp4", stream) == expected
    assert described(ffprobe, tmp_path / "b.mp4") == described(ffprobe, source)


# --- shape and colour -----------------------------------------------------------------------------

COLOURS = {
    "bt709": (1, 1, 1, 1),
    "bt601-525": (6, 6, 6, 1),
    "bt601-625": (5, 6, 5, 1),
    "bt2020": (9, 14, 9, 1),
    "full": (1, 13, 1, 2),
    "untagged": (2, 2, 2, 0),
}


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_tags_of_shape_and_colour_are_kept_and_used(
    tmp_path: Path,
    write_clip: Make,
    moving: Make,
    enlarger: Make,
    ffprobe: Make,
    colour: str,
    suffix: str,
) -> None:
    source = write_clip(
        tmp_path / f"a.{suffix}",
        moving(3),
        colour=COLOURS[colour],
        aspect=Fraction(12, 11),
        pix_fmt="yuv444p",
        options={"qp": "0"},
    )
    output = tmp_path / f"b.{suffix}"
    infer(InferConfig((source,), output, crf=1), session=enlarger(scale=2))
    keys = (
        "sample_aspect_ratio", "color_range", "color_space", "color_transfer", "color_primaries",
    )  # fmt: skip
    streams = [ffprobe(path, "-show_streams")["streams"][0] for path in (source, output)]
    tags = [{key: stream.get(key) for key in keys} for stream in streams]
    assert tags[0] == tags[1]
    assert tags[0]["sample_aspect_ratio"] == "12:11"
    # The levels are those of the source, whichever matrix and range they were coded with.
    means = [frames_of(path).mean(axis=(0, 1, 2)) for path in (source, output)]
    np.testing.assert_allclose(means[0], means[1], atol=1.5)


@pytest.mark.parametrize("rotation", [90, 180, -90])
@pytest.mark.parametrize("suffix", ["mp4", "mov", "m4v", "mkv"])
def test_rotation_is_kept(
    tmp_path: Path, write_clip: Make, moving: Make, enlarger: Make, ffprobe: Make, rotation: int,
    suffix: str,
) -> None:  # fmt: skip
    source = write_clip(tmp_path / f"a.{suffix}", moving(2), rotation=rotation)
    output = tmp_path / f"b.{suffix}"
    infer(InferConfig((source,), output), session=enlarger())
    before, after = (ffprobe(path, "-show_streams")["streams"][0] for path in (source, output))
    turned = [side["rotation"] for side in before["side_data_list"] if "rotation" in side]
    assert [abs(angle) for angle in turned] == [abs(rotation)]
    assert [side["rotation"] for side in after["side_data_list"] if "rotation" in side] == turned
    assert (after["width"], after["height"]) == (96, 64)


def test_pictures_and_containers_without_rotation_are_turned_upright(
    tmp_path: Path, write_clip: Make, moving: Make, enlarger: Make, ffmpeg: Make
) -> None:
    source = write_clip(tmp_path / "a.mp4", moving(2), rotation=90, options={"qp": "0"})
    infer(InferConfig((source,), tmp_path / "sr/%d.png"), session=enlarger(scale=1))
    infer(InferConfig((source,), tmp_path / "b.ts", crf=1), session=enlarger(scale=1))
    ffmpeg(
        "-i", source, "-frames:v", "1", tmp_path / "upright.png"
    )  # ffmpeg turns it as a player would
    upright = read_picture(tmp_path / "upright.png")
    assert upright.shape == (48, 32, 3)
    for found in (read_picture(tmp_path / "sr/0.png"), frames_of(tmp_path / "b.ts")[0]):
        errors = [np.abs(np.rot90(found, k).astype(int) - upright).mean() for k in (0, 2)]
        # ffmpeg interpolates chroma otherwise; upside down is another picture altogether.
        assert errors[0] < 8 < 20 < errors[1]
