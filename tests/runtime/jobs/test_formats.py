"""Sample formats, covers and what else a file may hold, judged with ffprobe and ffmpeg."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.encode.y4m_writer import Y4mWriter
from vsrc.runtime.errors import MediaError
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.picture.deep_colour import planes

Make = Callable[..., Any]


def videos(ffprobe: Make, path: Path) -> list[dict[str, Any]]:
    found = ffprobe(path, "-show_streams")["streams"]
    return [stream for stream in found if stream["codec_type"] == "video"]


# --- samples --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "codec", "expected"),
    [
        ("yuv420p", "x264", "yuv420p"),
        ("yuv422p", "x264", "yuv422p"),
        ("yuv444p", "x264", "yuv444p"),
        ("gray", "x265", "gray"),
        ("yuv420p10le", "x264", "yuv420p10le"),
        ("yuv422p10le", "x264", "yuv422p10le"),
        ("yuv444p10le", "x264", "yuv444p10le"),
        ("gray10le", "x265", "gray10le"),
        ("yuv420p10le", "x265", "yuv420p10le"),
        ("yuv422p12le", "x265", "yuv422p12le"),
        ("yuv420p10le", "av1", "yuv420p10le"),
        ("yuv422p10le", "av1", "yuv420p10le"),
        ("yuv420p10le", "prores", "yuv422p10le"),
        ("gray16le", "ffv1", "gray16le"),
        ("gbrp10le", "x264", "yuv420p10le"),
    ],
)
def test_depth_and_chroma_are_kept_where_the_codec_can(
    tmp_path: Path, moving: Make, enlarger: Make, ffprobe: Make, source: str, codec: str,
    expected: str,
) -> None:  # fmt: skip
    clip = tmp_path / "a.mkv"
    write_ffv1(clip, moving(2, 64, 64), source)
    output = tmp_path / "b.mkv"
    preset = {"av1": "12", "prores": None, "ffv1": None}.get(codec, "ultrafast")
    infer(InferConfig((clip,), output, codec=codec, preset=preset), session=enlarger(scale=1))
    assert videos(ffprobe, output)[0]["pix_fmt"] == expected


def write_ffv1(path: Path, frames: NDArray[np.uint8], pix_fmt: str) -> None:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pix_fmt
        for rgb in frames:
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=pix_fmt)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_a_graph_that_sees_8_bits_says_so(
    tmp_path: Path, write_clip: Make, moving: Make, enlarger: Make
) -> None:
    clip = write_clip(tmp_path / "a.mkv", moving(2), pix_fmt="yuv420p10le")
    result = infer(InferConfig((clip,), tmp_path / "b.mkv"), session=enlarger())
    (note,) = result.files[0].notes
    assert "10-bit samples are upscaled and written in 8 bits" in note
    assert "--io float" in note


def test_a_codec_that_keeps_fewer_bits_says_so(
    tmp_path: Path, write_clip: Make, moving: Make, enlarger: Make
) -> None:
    clip = write_clip(tmp_path / "a.mkv", moving(2), pix_fmt="yuv420p10le")
    config = InferConfig((clip,), tmp_path / "b.mkv", codec="mpeg4")
    notes = infer(config, session=enlarger()).files[0].notes
    assert any(re.search("mpeg4 .*10 bits.* 8$", note) for note in notes)


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_that_is_allowed_keeps_its_bits_and_tags(
    tmp_path: Path, write_clip: Make, moving: Make, enlarger: Make, ffprobe: Make, transfer: int
) -> None:
    clip = write_clip(
        tmp_path / "a.mkv", moving(2), pix_fmt="yuv420p10le", colour=(9, transfer, 9, 1)
    )
    output = tmp_path / "b.mkv"
    infer(InferConfig((clip,), output, allow_hdr=True), session=enlarger())
    keys = ("pix_fmt", "color_primaries", "color_transfer", "color_space", "color_range")
    before, after = (videos(ffprobe, path)[0] for path in (clip, output))
    assert [after.get(key) for key in keys] == [before.get(key) for key in keys]
    assert after["color_primaries"] == "bt2020"


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv422p10le", "yuv444p12le", "gray10le"])
def test_y4m_of_more_than_8_bits_is_what_ffmpeg_reads(
    tmp_path: Path, moving: Make, ffmpeg: Make, pix_fmt: str
) -> None:
    clip = tmp_path / "a.mkv"
    write_ffv1(clip, moving(3, 33, 47), pix_fmt)
    reader = VideoReader(clip)
    reader.is_deep = True
    pipe = io.BytesIO()
    writer = Y4mWriter(pipe, reader.info, scale=1, time_scale=1)
    for frame in reader:
        writer.write(frame)  # type: ignore[arg-type]  # the fields that are read are the same
    writer.finish()
    reader.close()
    (tmp_path / "a.y4m").write_bytes(pipe.getvalue())
    planes = []
    for name in ("a.mkv", "a.y4m"):
        ffmpeg("-i", tmp_path / name, "-f", "rawvideo", tmp_path / "raw")
        planes.append(np.fromfile(tmp_path / "raw", "<u2").astype(int))
    with av.open(str(tmp_path / "a.y4m")) as container:
        assert container.streams.video[0].pix_fmt == pix_fmt
    assert planes[0].size == planes[1].size
    # Chroma at the edges of the blocks is resampled twice; luma and full chroma come back.
    luma = 33 * 47
    assert np.abs(planes[0][:luma] - planes[1][:luma]).max() <= (40 if "42" in pix_fmt else 1)


# --- what else a file holds -----------------------------------------------------------------------


@pytest.fixture
def with_cover(tmp_path: Path, clip: Path, ffmpeg: Make) -> Make:
    """The clip with a cover picture, in a container."""

    def make(suffix: str) -> Path:
        picture, path = tmp_path / "cover.jpg", tmp_path / f"covered.{suffix}"
        ffmpeg("-f", "lavfi", "-i", "testsrc2=s=32x32", "-frames:v", "1", picture)
        words = ["-c", "copy"]
        if suffix == "mkv":
            words += ["-attach", str(picture), "-metadata:s:t", "mimetype=image/jpeg"]
            ffmpeg("-i", clip, *words, path)
        else:
            words += ["-map", "0", "-map", "1", "-disposition:v:1", "attached_pic"]
            ffmpeg("-i", clip, "-i", picture, *words, path)
        return path

    return make


@pytest.mark.parametrize("target", ["mkv", "mp4"])
@pytest.mark.parametrize("source", ["mkv", "mp4"])
def test_a_cover_stays_a_cover(
    tmp_path: Path, with_cover: Make, enlarger: Make, ffprobe: Make, source: str, target: str
) -> None:
    output = tmp_path / f"b.{target}"
    result = infer(InferConfig((with_cover(source),), output), session=enlarger())
    assert result.files[0].notes == ()
    picture, cover = videos(ffprobe, output)
    assert picture["disposition"]["attached_pic"] == 0
    assert (cover["codec_name"], cover["disposition"]["attached_pic"]) == ("mjpeg", 1)
    data = ffprobe(output, "-select_streams", "v:1", "-show_packets", "-show_data_hash", "md5")
    jpeg = (tmp_path / "cover.jpg").read_bytes()
    assert data["packets"][0]["size"] == str(len(jpeg))


def test_a_second_video_is_named_and_a_timecode_is_kept(
    tmp_path: Path, clip: Path, ffmpeg: Make, ffprobe: Make, enlarger: Make
) -> None:
    source = tmp_path / "two.mov"
    ffmpeg("-i", clip, "-i", clip, "-map", "0", "-map", "1:v", "-c", "copy",
           "-timecode", "01:00:00:00", source)  # fmt: skip
    notes = infer(InferConfig((source,), tmp_path / "b.mov"), session=enlarger()).files[0].notes
    (note,) = notes
    assert "video track 2" in note
    kept = ffprobe(tmp_path / "b.mov", "-show_streams")["streams"]
    assert [stream["tags"].get("timecode") for stream in kept] == [
        "01:00:00:00",
        None,
        "01:00:00:00",
    ]
    assert kept[2]["codec_tag_string"] == "tmcd"


def test_styled_subtitles_keep_their_styles(
    tmp_path: Path, clip: Path, ffmpeg: Make, ffprobe: Make, enlarger: Make
) -> None:
    text = tmp_path / "en.srt"
    text.write_text("1\n00:00:00,100 --> 00:00:00,400\n<i>Hello</i>\n")
    source, output = tmp_path / "a.mkv", tmp_path / "b.mkv"
    ffmpeg(
        "-i", clip, "-i", text, "-map", "0:v", "-map", "1", "-c:v", "copy", "-c:s", "ass", source
    )
    infer(InferConfig((source,), output), session=enlarger())
    headers = []
    for path in (source, output):
        with av.open(str(path)) as container:
            headers.append(container.streams.subtitles[0].codec_context.extradata)
    assert headers[0] is not None
    assert b"[V4+ Styles]" in headers[0]
    assert headers[0] == headers[1]
    shown = [
        ffprobe(path, "-select_streams", "s", "-show_packets", "-show_data_hash", "md5")["packets"]
        for path in (source, output)
    ]
    assert [packet["data_hash"] for packet in shown[0]] == [one["data_hash"] for one in shown[1]]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_frames_are_as_many_and_as_old_in_ffprobe_when_the_rate_doubles(
    tmp_path: Path, write_clip: Make, moving: Make, enlarger: Make, ffprobe: Make, suffix: str
) -> None:
    clip = write_clip(tmp_path / f"a.{suffix}", moving(9))
    output = tmp_path / f"b.{suffix}"
    infer(InferConfig((clip,), output), session=enlarger(window=4, time_scale=2))
    times = [
        [float(frame["pts_time"]) for frame in ffprobe(path, "-show_frames")["frames"]]
        for path in (clip, output)
    ]
    assert len(times[1]) == 2 * 9 - 1
    assert times[1][::2] == times[0]
    middles = [(a + b) / 2 for a, b in zip(times[0], times[0][1:], strict=False)]
    assert times[1][1::2] == pytest.approx(middles, abs=5e-4 if suffix == "mkv" else 1e-6)


def test_alpha_of_a_video_is_refused(tmp_path: Path, ffmpeg: Make) -> None:
    half = "testsrc2=s=32x32:d=0.1,format=rgba,colorchannelmixer=aa=0.5"
    for name, words in {
        "a.mov": ["-c:v", "prores_ks", "-pix_fmt", "yuva444p10le"],
        "a.webm": ["-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p"],
    }.items():
        ffmpeg("-f", "lavfi", "-i", half, *words, tmp_path / name)
        with pytest.raises(MediaError, match="has transparency"):
            infer(InferConfig((tmp_path / name,), tmp_path / "b.mkv"))


def test_the_student_that_ships_sees_more_than_8_bits(tmp_path: Path) -> None:
    """A ramp of 10 bits has more levels in the result than 8 bits could tell apart."""
    clip, output = tmp_path / "a.mkv", tmp_path / "b.mkv"
    with av.open(str(clip), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 256, "gray10le"
        frame = av.VideoFrame(256, 32, "gray10le")
        planes(frame)[0][:] = np.arange(400, 656, dtype=np.uint16)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    result = infer(InferConfig((clip,), output, codec="ffv1", threads=1))
    assert result.files[0].runs.endswith("-float")
    assert result.files[0].notes == ()
    with av.open(str(output)) as container:
        (restored,) = container.decode(video=0)
    assert restored.format.name == "gray10le"
    levels = np.unique(planes(restored)[0])
    assert len(levels) > 200  # in 8 bits there are 64 between 400 and 656


def test_audio_whose_header_is_damaged_is_encoded_again(
    tmp_path: Path, clip: Path, ffmpeg: Make, ffprobe: Make, enlarger: Make
) -> None:
    source = tmp_path / "a.mkv"
    ffmpeg("-i", clip, "-c:v", "copy", "-c:a", "flac", source)
    data = bytearray(source.read_bytes())
    block = data.index(b"fLaC") + 4
    data[block : block + 4] = b"\x81\0\0\x22"  # no STREAMINFO any more, which has to come first
    source.write_bytes(data)
    output = tmp_path / "b.mkv"
    result = infer(InferConfig((source,), output), session=enlarger())
    assert any(
        note.startswith("the audio track 1 (flac) is encoded") for note in result.files[0].notes
    )
    streams = ffprobe(output, "-show_streams", "-count_frames")["streams"]
    assert [stream["codec_name"] for stream in streams] == ["h264", "flac"]
    assert int(streams[1]["nb_read_frames"]) >= 8  # 0.92 s in blocks of 4608 samples


def test_sound_that_is_cut_off_before_it_begins_is_left_out(
    tmp_path: Path, clip: Path, ffmpeg: Make, ffprobe: Make, enlarger: Make
) -> None:
    source = tmp_path / "a.ts"
    ffmpeg("-i", clip, "-c:v", "copy", "-c:a", "mp2", source)
    data = source.read_bytes()
    pieces = [data[at : at + 188] for at in range(0, len(data), 188)]
    sound = {(piece[1] & 31) << 8 | piece[2] for piece in pieces} & {0x101}
    source.write_bytes(b"".join(p for p in pieces if ((p[1] & 31) << 8 | p[2]) not in sound))
    result = infer(InferConfig((source,), tmp_path / "b.mkv"), session=enlarger())
    assert result.files[0].frames == 24
    assert any("sample rate" in note for note in result.files[0].notes)
    kinds = [one["codec_type"] for one in ffprobe(tmp_path / "b.mkv", "-show_streams")["streams"]]
    assert kinds == ["video"]
