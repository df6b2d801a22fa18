"""Damaged headers of audio tracks: the track is left out at most, and no picture is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.cases import find_case
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer

Make = Callable[..., Any]

SOURCES = "-f lavfi -i testsrc2=s=48x32:r=25:d=1 -f lavfi -i sine=d=1:r=44100"


@pytest.mark.parametrize("damage", [b"\x81\0\0\x22", b"\0\0\0\0"])
def test_a_damaged_header_of_a_track_costs_that_track_at_most(
    tmp_path: Path, ffmpeg: Make, ffprobe: Make, enlarger: Make, damage: bytes
) -> None:
    """The first Vorbis header of an Ogg file is made invalid; no decoder and no muxer takes it."""
    source, output = tmp_path / "a.mkv", tmp_path / "b.mkv"
    ffmpeg(*SOURCES.split(), "-c:v", "mpeg4", "-c:a", "libvorbis",
           source)  # fmt: skip
    data = bytearray(source.read_bytes())
    place = data.index(b"vorbis", data.index(b"A_VORBIS") + 8)
    data[place : place + 4] = damage
    source.write_bytes(data)
    result = infer(InferConfig((source,), output), session=enlarger(scale=1))
    assert result.files[0].frames == 25
    assert any("the audio track 1 (vorbis) is left out" in note for note in result.files[0].notes)
    streams = ffprobe(output, "-show_streams")["streams"]
    assert [stream["codec_type"] for stream in streams] == ["video"]


DAMAGES = {
    # Behind the name of the codec: the size of the header in Matroska.
    "flac.mkv": ("-c:v libx264 -bf 0 -c:a flac", b"A_FLAC", {30: b"\xff"}),
    # The type of the track, its scale, and the number of bytes behind the header.
    "mp3.avi": (
        "-c:v mpeg4 -c:a libmp3lame", b"auds", {2: bytes(4), 11: b"\x7f", 115: b"\x7f\xff"}
    ),
    "channels.avi": ("-c:v mpeg4 -c:a pcm_s16le", b"auds", {66: b"\xff\xff"}),
    "bits.wmv": ("-c:v wmv2 -c:a wmav2", bytes.fromhex("a8fd00805f5c442b"), {60: b"\xff\xff"}),
}  # fmt: skip
"""Name of a source -> codecs, a mark before the header of the audio, bytes by their distance."""


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_header_of_audio_costs_no_picture(
    tmp_path: Path, ffmpeg: Make, ffprobe: Make, enlarger: Make, name: str
) -> None:
    codecs, mark, changes = DAMAGES[name]
    source, output = tmp_path / name, tmp_path / "out.mkv"
    sources = "-f lavfi -i testsrc2=s=32x32:r=25:d=0.4 -f lavfi -i sine=d=0.4:r=48000"
    ffmpeg(*sources.split(), *codecs.split(), source)
    data = bytearray(source.read_bytes())
    place = data.index(mark)
    for distance, changed in changes.items():
        data[place + distance : place + distance + len(changed)] = changed
    source.write_bytes(data)
    done = infer(InferConfig((source,), output, codec="ffv1"), session=enlarger(scale=1)).files[0]
    assert done.frames == 10
    streams = ffprobe(output, "-show_streams", "-count_packets")["streams"]
    assert [one["nb_read_packets"] for one in streams if one["codec_type"] == "video"] == ["10"]


@pytest.mark.parametrize("name", ["b.mkv", "b.mp4", "b.avi"])
def test_audio_of_an_unknown_codec_is_left_out(
    tmp_path: Path, ffmpeg: Make, ffprobe: Make, enlarger: Make, name: str
) -> None:
    source, output = tmp_path / "a.mkv", tmp_path / name
    sources = ["-f", "lavfi", "-i", "testsrc2=s=32x32:d=0.4", "-f", "lavfi", "-i", "sine=d=0.4"]
    ffmpeg(*sources, "-c:v", "ffv1", "-c:a", "libmp3lame", source)
    source.write_bytes(source.read_bytes().replace(b"A_MPEG/L3", b"A_XPEG/L3"))
    notes = infer(InferConfig((source,), output), session=enlarger(scale=1)).files[0].notes
    assert any("the audio track 1 (unknown) is left out" in note for note in notes)
    streams = ffprobe(output, "-show_streams", "-count_packets")["streams"]
    assert [(stream["codec_type"], stream["nb_read_packets"]) for stream in streams] == [
        ("video", "10")
    ]


def test_a_real_file_whose_audio_is_damaged_loses_only_that(
    tmp_path: Path, reference: Path, enlarger: Make, ffprobe: Make
) -> None:
    source, output = find_case(reference, "attack/128-flips-theora.ogv"), tmp_path / "b.mkv"
    notes = infer(InferConfig((source,), output), session=enlarger(scale=1)).files[0].notes
    assert "the audio track 1 (vorbis) is left out: it is damaged or incomplete" in notes
    assert not any("truncated" in note for note in notes)
    streams = ffprobe(output, "-show_streams", "-count_packets")["streams"]
    assert [(stream["codec_type"], stream["nb_read_packets"]) for stream in streams] == [
        ("video", "12")
    ]
