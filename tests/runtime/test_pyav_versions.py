"""What differs between PyAV 17, 18 and 19, judged on the version that is installed by ffprobe."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from vsrc.runtime.decode.clips.picture_reader import PictureReader
from vsrc.runtime.decode.media_file import open_container
from vsrc.runtime.decode.probe import VideoInfo
from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.errors import MediaError
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.pyav_versions import field_order, fraction, side_data, time_base

Make = Callable[..., Any]

LATIN = b"Caf\xe9"
"""A title in ISO 8859-1, which is not UTF-8."""


def info_of(path: Path) -> VideoInfo:
    reader = VideoReader(path)
    reader.close()
    return reader.info


def stream_of(ffprobe: Make, path: Path) -> dict[str, Any]:
    found: dict[str, Any] = ffprobe(path, "-select_streams", "v", "-show_streams")["streams"][0]
    return found


def retitled(path: Path) -> Path:
    data = path.read_bytes()
    assert data.count(b"Cafe") == 1
    path.write_bytes(data.replace(b"Cafe", LATIN))
    return path


def test_ratios_are_fractions_with_the_values_that_ffprobe_shows(
    tmp_path: Path, write_clip: Make, moving: Make, ffprobe: Make
) -> None:
    path = write_clip(
        tmp_path / "a.mp4", moving(6), aspect=Fraction(12, 11), time_base=Fraction(1, 90000),
        pts=[3003 * place for place in range(6)],
    )  # fmt: skip
    info, said = info_of(path), stream_of(ffprobe, path)
    ratios = (info.time_base, info.rate, info.sample_aspect_ratio, info.duration)
    assert all(type(ratio) is Fraction for ratio in ratios)
    assert info.time_base == Fraction(said["time_base"])
    assert info.rate == Fraction(said["r_frame_rate"])  # the average counts a short last frame
    assert info.sample_aspect_ratio == Fraction(said["sample_aspect_ratio"].replace(":", "/"))
    assert info.duration == said["duration_ts"] * info.time_base


def test_unknown_ratio_is_none(lossless: Make, moving: Make) -> None:
    assert info_of(lossless("a", moving(2))).sample_aspect_ratio is None
    assert fraction(av.VideoFrame(16, 16, "rgb24").time_base) is None
    assert time_base(av.VideoFrame(16, 16, "rgb24")) == Fraction(1, 1000)


def test_product_of_two_time_bases_is_exact(clip: Path) -> None:
    with open_container(clip) as container:
        unit = time_base(container.streams.video[0])
    # PyAV 19 approximates products of its own ratios in 32 bits.
    assert (unit * unit * unit).denominator == unit.denominator**3 > 1 << 32


def test_rotation_in_side_data_is_that_of_ffprobe(
    tmp_path: Path, write_clip: Make, moving: Make, ffprobe: Make
) -> None:
    path = write_clip(tmp_path / "a.mp4", moving(2), rotation=90)
    with open_container(path) as container:
        matrix = side_data(next(container.decode(video=0)))["DISPLAYMATRIX"]
    listed = stream_of(ffprobe, path)["side_data_list"][0]
    rows = [line.split(":")[1].split() for line in listed["displaymatrix"].splitlines() if line]
    assert struct.unpack("=9i", matrix) == tuple(int(value) for row in rows for value in row)
    assert info_of(path).display_matrix == struct.unpack("=9i", matrix)


def test_order_of_fields_is_that_of_ffprobe(tmp_path: Path, ffmpeg: Make, ffprobe: Make) -> None:
    path = tmp_path / "a.mpg"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x64:d=0.2", "-vf", "interlace", "-c:v", "mpeg2video",
           "-flags", "+ildct+ilme", path)  # fmt: skip
    assert stream_of(ffprobe, path)["field_order"] in ("tt", "tb")
    with open_container(path) as container:
        stream = container.streams.video[0]
        known = hasattr(stream.codec_context, "field_order")  # not in PyAV 17
        assert (field_order(stream) > 1) is known
    assert info_of(path).is_interlaced


def test_photograph_with_exif_is_read_and_made_upright(tmp_path: Path, ffmpeg: Make) -> None:
    path = tmp_path / "a.jpg"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:d=0.04", "-frames:v", "1", path)
    # One directory with one entry: orientation (0x112) is 6, a quarter turn clockwise.
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x112, 3, 1, 6, 0, 0)
    segment = b"Exif\0\0" + tiff
    data = path.read_bytes()
    marker = b"\xff\xe1" + struct.pack(">H", len(segment) + 2)
    path.write_bytes(data[:2] + marker + segment + data[2:])
    reader = PictureReader([path], fps=Fraction(25), name=str(path))
    assert (reader.info.width, reader.info.height, reader.info.rotation) == (48, 64, 0)
    (frame,) = reader
    assert frame.rgb.shape == (64, 48, 3)


@pytest.mark.parametrize("cover", [False, True])
def test_tags_that_are_not_utf_8_are_copied_byte_for_byte(
    tmp_path: Path, write_clip: Make, moving: Make, enlarger: Make, ffmpeg: Make, *, cover: bool
) -> None:
    path = write_clip(tmp_path / "a.mp4", moving(4), metadata={"title": "Cafe"})
    if cover:
        picture, covered = tmp_path / "c.png", tmp_path / "b.mp4"
        ffmpeg("-f", "lavfi", "-i", "testsrc2=s=16x16:d=0.04", "-frames:v", "1", picture)
        ffmpeg("-i", path, "-i", picture, "-map", "0", "-map", "1", "-c", "copy",
               "-disposition:v:1", "attached_pic", covered)  # fmt: skip
        path = covered
    output = tmp_path / "result.mkv"
    infer(InferConfig((retitled(path),), output), session=enlarger())
    assert LATIN in output.read_bytes()
    with open_container(output) as container:
        title = container.metadata["title"]
        assert title.encode("utf-8", "surrogateescape") == LATIN
        assert len(container.streams) == 1 + cover


def test_decoder_that_cannot_be_opened_is_an_error_and_no_crash(
    lossless: Make, moving: Make
) -> None:
    path = lossless("a", moving(3))
    with av.open(str(path)) as container:
        header = container.streams.video[0].codec_context.extradata
    data = path.read_bytes()
    assert header
    assert header in data
    path.write_bytes(data.replace(header, bytes(value ^ 255 for value in header)))
    with pytest.raises(MediaError, match=r"a\.mkv .*frame"):
        VideoReader(path)


def test_refused_packets_of_a_track_are_reported_after_the_file_is_closed(
    tmp_path: Path, clip: Path, enlarger: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vsrc.runtime.encode.tracks import TrackCopier

    write = TrackCopier._write

    def spoil(copier: TrackCopier, packet: Any, shift: Fraction) -> None:  # noqa: ANN401
        packet.dts = packet.pts + 99  # decoded after it is heard, which muxers refuse
        write(copier, packet, shift)

    monkeypatch.setattr(TrackCopier, "_write", spoil)
    found = infer(InferConfig((clip,), tmp_path / "a.mp4"), session=enlarger())
    assert any("audio track 1" in note for note in found.files[0].notes)
