"""Tags, chapters and the length of files, judged with ffprobe; and no false alarm about them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.cases import find_case
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer

Make = Callable[..., Any]

PHONE = {
    "com.apple.quicktime.make": "Apple",
    "com.apple.quicktime.model": "iPhone 12",
    "com.apple.quicktime.software": "17.1",
    "com.apple.quicktime.creationdate": "2023-05-06T07:08:09+0200",
    "com.apple.quicktime.location.ISO6709": "+48.1371+011.5754+520.000/",
    "com.android.version": "13",
    "com.android.capture.fps": "30.000000",
    "firmware": "HD8.01.01.60.00",
    "rating": "5",
    "title": "Grüße",
    "artist": "Somebody",
    "date": "2023",
    "comment": "as it was",
    "location": "+48.1371+011.5754/",
}
FILM = {"title": "A film", "artist": "Somebody", "album": "Films", "comment": "c", "genre": "Drama"}


def tags_of(ffprobe: Make, path: Path) -> dict[str, str]:
    """Tags of the file, but for those that describe it and its writer; Matroska has capitals."""
    found = ffprobe(path, "-show_format")["format"].get("tags", {})
    own = ("major_brand", "minor_version", "compatible_brands", "encoder")
    return {name.lower(): text for name, text in found.items() if name.lower() not in own}


def tagged(ffmpeg: Make, clip: Path, path: Path, tags: dict[str, str]) -> Path:
    words = [word for name, text in tags.items() for word in ("-metadata", f"{name}={text}")]
    ffmpeg("-i", clip, "-c", "copy", *words, "-movflags", "use_metadata_tags", path)
    return path


@pytest.mark.parametrize("source", ["mov", "mp4", "mkv"])
@pytest.mark.parametrize("target", ["mov", "mp4", "m4v", "mkv"])
def test_all_tags_of_a_phone_are_kept(
    tmp_path: Path, clip: Path, ffmpeg: Make, ffprobe: Make, enlarger: Make, source: str,
    target: str,
) -> None:  # fmt: skip
    path, output = tagged(ffmpeg, clip, tmp_path / f"a.{source}", PHONE), tmp_path / f"b.{target}"
    before = tags_of(ffprobe, path)
    assert set(before) >= {name.lower() for name in PHONE}
    result = infer(InferConfig((path,), output), session=enlarger(scale=1))
    assert result.files[0].notes == ()
    after = tags_of(ffprobe, output)
    assert {name: after.get(name) for name in before if name != "location"} == {
        name: text for name, text in before.items() if name != "location"
    }
    assert "+48.1371" in after["location"]  # MP4 stores numbers, not the text


def test_tags_that_itunes_knows_are_stored_as_itunes_does(
    tmp_path: Path, clip: Path, ffmpeg: Make, ffprobe: Make, enlarger: Make
) -> None:
    """Players read them there; names of any kind take another form, which fewer players read."""
    source = tagged(ffmpeg, clip, tmp_path / "a.mkv", FILM)
    infer(InferConfig((source,), tmp_path / "b.mp4"), session=enlarger(scale=1))
    assert tags_of(ffprobe, tmp_path / "b.mp4") == FILM
    data = (tmp_path / "b.mp4").read_bytes()
    assert b"\xa9nam" in data
    assert b"mdta" not in data


def test_tags_that_a_container_drops_are_named(
    tmp_path: Path, clip: Path, ffmpeg: Make, ffprobe: Make, enlarger: Make
) -> None:
    source = tagged(ffmpeg, clip, tmp_path / "a.mkv", {"title": "A", "director": "B"})
    notes = {}
    for suffix in ("avi", "ts", "mkv"):
        result = infer(InferConfig((source,), tmp_path / f"b.{suffix}"), session=enlarger(scale=1))
        notes[suffix] = [note for note in result.files[0].notes if "tag" in note]
    assert notes["mkv"] == []
    assert "the tag DIRECTOR is left out: avi cannot carry it (.mkv can)" in notes["avi"]
    assert [set(note.split()[2:4]) for note in notes["ts"]] == [{"title,", "DIRECTOR"}]
    assert tags_of(ffprobe, tmp_path / "b.avi")["title"] == "A"


# --- no false alarms ------------------------------------------------------------------------------


@pytest.fixture
def chaptered(tmp_path: Path, clip: Path, ffmpeg: Make) -> Path:
    """The clip with two chapters, which MP4 stores as a text track that lasts 4 s longer."""
    text, path = tmp_path / "chapters.txt", tmp_path / "a.mp4"
    text.write_text(
        ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=One\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=500\nEND=5000\ntitle=Zwei\n"
    )
    ffmpeg("-i", clip, "-i", text, "-map_chapters", "1", "-c", "copy", path)
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_chapters_are_kept_without_a_word(
    tmp_path: Path, chaptered: Path, ffprobe: Make, enlarger: Make, suffix: str
) -> None:
    output = tmp_path / f"b.{suffix}"
    kinds = [stream["codec_type"] for stream in ffprobe(chaptered, "-show_streams")["streams"]]
    assert kinds == ["video", "audio", "data"]
    result = infer(InferConfig((chaptered,), output), session=enlarger(scale=1))
    assert result.files[0].notes == ()
    found = ffprobe(output, "-show_chapters")["chapters"]
    assert [(chapter["start_time"], chapter["tags"]["title"]) for chapter in found] == [
        ("0.000000", "One"),
        ("0.500000", "Zwei"),
    ]


def test_chapters_that_a_container_drops_are_named(
    tmp_path: Path, chaptered: Path, enlarger: Make
) -> None:
    result = infer(InferConfig((chaptered,), tmp_path / "b.ts"), session=enlarger(scale=1))
    assert result.files[0].notes == ("chapters are left out: mpegts cannot carry them (.mkv can)",)


@pytest.mark.parametrize(("suffix", "is_track"), [("mov", True), ("mp4", True), ("mkv", False)])
def test_a_timecode_is_kept_without_a_word(
    tmp_path: Path, clip: Path, ffmpeg: Make, ffprobe: Make, enlarger: Make, suffix: str,
    is_track: bool,
) -> None:  # fmt: skip
    source, output = tmp_path / "a.mov", tmp_path / f"b.{suffix}"
    ffmpeg("-i", clip, "-c", "copy", "-timecode", "01:02:03:04", source)
    result = infer(InferConfig((source,), output), session=enlarger(scale=1))
    assert result.files[0].notes == ()
    streams = ffprobe(output, "-show_streams")["streams"]
    codes = [stream.get("tags", {}) for stream in streams]
    assert [tags[name] for tags in codes[:1] for name in tags if name.lower() == "timecode"] == [
        "01:02:03:04"
    ]
    assert ("tmcd" in [stream["codec_tag_string"] for stream in streams]) == is_track


def test_mxf_keeps_the_timecode_of_the_whole_file(
    tmp_path: Path, clip: Path, ffmpeg: Make, ffprobe: Make, enlarger: Make
) -> None:
    source, output = tmp_path / "a.mov", tmp_path / "b.mxf"
    ffmpeg("-i", clip, "-c", "copy", "-an", "-timecode", "01:02:03:04", source)
    result = infer(InferConfig((source,), output), session=enlarger(scale=1))
    assert result.files[0].notes == ()
    assert ffprobe(output, "-show_format")["format"]["tags"]["timecode"] == "01:02:03:04"


def test_a_timecode_that_a_container_refuses_costs_the_timecode(
    tmp_path: Path, clip: Path, ffmpeg: Make, ffprobe: Make, enlarger: Make
) -> None:
    """Drop-frame counting exists for 29.97 and 59.94 fps only; MOV's muxer checks it."""
    source, output = tmp_path / "a.mkv", tmp_path / "b.mov"
    ffmpeg("-i", clip, "-c", "copy", "-metadata:s:v", "timecode=01:02:03;04", source)
    (note,) = infer(InferConfig((source,), output), session=enlarger(scale=1)).files[0].notes
    assert note == "the timecode 01:02:03;04 is left out: mov cannot carry it (.mkv can)"
    assert len(ffprobe(output, "-show_streams")["streams"]) == 2


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("audio-longer.mp4", "-f lavfi -i sine=d=3 -map 0:v -map 1 -c:v copy -c:a aac"),
        ("audio-longer.mkv", "-f lavfi -i sine=d=3 -map 0:v -map 1 -c:v copy -c:a aac"),
        ("audio-longer.avi", "-f lavfi -i sine=d=3 -map 0:v -map 1 -c:v copy -c:a adpcm_ms"),
        ("second-video.mkv", "-f lavfi -i testsrc2=d=4:s=32x32 -map 0 -map 1 -c copy -c:v:1 ffv1"),
        ("second-video.mp4", "-f lavfi -i testsrc2=d=4:s=32x32 -map 0 -map 1 -c copy -c:v:1 mpeg4"),
        ("wrap.ts", "-c copy -output_ts_offset 95443.2"),
    ],
)
def test_a_file_is_not_cut_short_because_another_track_is_longer(
    tmp_path: Path, clip: Path, ffmpeg: Make, enlarger: Make, name: str, arguments: str
) -> None:
    source = tmp_path / name
    ffmpeg("-i", clip, *arguments.split(), source)
    result = infer(InferConfig((source,), tmp_path / "b.mkv"), session=enlarger(scale=1))
    assert result.files[0].frames == 24
    assert not any("truncated" in note for note in result.files[0].notes)


def test_a_start_in_the_middle_is_not_a_truncated_file(
    tmp_path: Path, ffmpeg: Make, enlarger: Make
) -> None:
    source = tmp_path / "a.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=32x32:r=10:d=20", "-c:v", "mpeg4", "-g", "10", source)
    config = InferConfig((source,), tmp_path / "b.mkv", start=18)
    result = infer(config, session=enlarger(scale=1))
    assert (result.files[0].frames, result.files[0].notes) == (20, ())


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("phone-tags.mov", "mov"), ("phone-tags.mov", "mkv"), ("chapters.mp4", "mp4")],
)
def test_real_files_keep_tags_and_chapters(
    tmp_path: Path, reference: Path, ffprobe: Make, enlarger: Make, name: str, suffix: str
) -> None:
    source, output = find_case(reference, f"video/{name}"), tmp_path / f"b.{suffix}"
    result = infer(InferConfig((source,), output), session=enlarger(scale=1))
    assert result.files[0].notes == ()
    assert tags_of(ffprobe, output).items() >= tags_of(ffprobe, source).items()
    titles = [
        [chapter["tags"]["title"] for chapter in ffprobe(path, "-show_chapters")["chapters"]]
        for path in (source, output)
    ]
    assert titles[0] == titles[1]


@pytest.mark.parametrize(
    ("suffix", "language", "kept"),
    [
        ("mov", "deu", "ger"),
        ("mov", "nld", "dut"),
        ("mov", "fra", "fra"),
        ("mov", "fre", "fra"),
        ("mov", "cze", "ces"),
        ("mov", "rum", "ron"),
        ("mov", "fas", "per"),
        ("mp4", "deu", "deu"),
        ("mp4", "fre", "fre"),
    ],
)
def test_languages_are_kept(
    tmp_path: Path, clip: Path, enlarger: Make, ffmpeg: Make, ffprobe: Make, suffix: str,
    language: str, kept: str,
) -> None:  # fmt: skip
    """MOV stores Macintosh codes, which FFmpeg knows by one of two names of some languages."""
    source, output = tmp_path / "a.mkv", tmp_path / f"b.{suffix}"
    ffmpeg("-i", clip, "-c", "copy", "-metadata:s:a:0", f"language={language}", source)
    infer(InferConfig((source,), output), session=enlarger(scale=1))
    (audio,) = ffprobe(output, "-show_streams", "-select_streams", "a")["streams"]
    assert audio["tags"]["language"] == kept


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov"])
def test_names_of_several_tracks_are_kept(
    tmp_path: Path, clip: Path, enlarger: Make, ffmpeg: Make, ffprobe: Make, suffix: str
) -> None:
    """FFmpeg reads the titles that it writes to MP4 under another name."""
    source, output = tmp_path / "a.mp4", tmp_path / f"b.{suffix}"
    words = (
        "-map 0:v -map 0:a -map 0:a -c copy -metadata:s:a:0 title=First -metadata:s:a:1 "
        "title=Second -metadata:s:a:0 handler_name=Main -metadata:s:a:1 handler_name=Other "
        "-disposition:a:0 0 -disposition:a:1 default"
    )
    ffmpeg("-i", clip, *words.split(), source)
    assert infer(InferConfig((source,), output), session=enlarger(scale=1)).files[0].notes == ()
    audio = ffprobe(output, "-show_streams", "-select_streams", "a")["streams"]
    assert [one["disposition"]["default"] for one in audio] == [0, 1]
    tags = [{name.lower(): text for name, text in one["tags"].items()} for one in audio]
    assert [one["handler_name"] for one in tags] == ["Main", "Other"]
    if suffix == "mkv":
        assert [one["title"] for one in tags] == ["First", "Second"]
        return
    data = output.read_bytes()
    for title in (b"First", b"Second"):  # ISO base media files: a box in that of user data
        assert b"name" + title in data


def test_a_date_that_was_never_set_is_no_tag(
    tmp_path: Path, clip: Path, ffmpeg: Make, ffprobe: Make, enlarger: Make
) -> None:
    """FFmpeg 9 reads the beginning of 1970 from ASF without a date; AVI has no such tag."""
    for date, count in (("1970-01-01T00:00:00.000000Z", 0), ("2023-05-06T07:08:09.000000Z", 1)):
        path = tagged(ffmpeg, clip, tmp_path / f"{count}.mkv", {"creation_time": date})
        assert tags_of(ffprobe, path)["creation_time"] == date
        notes = infer(InferConfig((path,), tmp_path / f"{count}.avi"), session=enlarger())
        said = [note for note in notes.files[0].notes if "creation_time" in note]
        assert len(said) == count
