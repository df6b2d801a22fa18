"""Codecs of results where none is asked for, and what containers refuse; judged by ffprobe."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.enlarger import Enlarger
from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.encode.codec_choice import deepest_codec
from vsrc.runtime.errors import MediaError
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer

Make = Callable[..., Any]


class Deep(Enlarger):
    """The same network with float inputs, which sees all bits of a sample."""

    graph = replace(Enlarger.graph, io="float")


def encode(
    source: Path, output: Path, ffprobe: Make, session: Enlarger, codec: str | None = None
) -> tuple[str, str, str, tuple[str, ...]]:
    """Codec, pixel format and tag of the result, and the notes of the run."""
    done = infer(InferConfig((source,), output, codec=codec), session=session)
    found = ffprobe(output, "-show_streams", "-select_streams", "v:0")
    (stream,) = found["streams"]
    return stream["codec_name"], stream["pix_fmt"], stream["codec_tag_string"], done.files[0].notes


@pytest.mark.parametrize(
    ("suffix", "codec", "tag"),
    [
        ("mp4", "hevc", "hvc1"),
        ("mov", "hevc", "hvc1"),
        ("mkv", "hevc", None),
        ("ts", "hevc", None),
        ("m4v", "h264", "avc1"),
        ("avi", "h264", None),
        ("webm", "av1", None),
    ],
)
def test_ten_bits_go_where_players_show_them(
    tmp_path: Path, write_clip: Make, moving: Make, ffprobe: Make, suffix: str, codec: str,
    tag: str | None,
) -> None:  # fmt: skip
    clip = write_clip(tmp_path / "a.mkv", moving(2, 64, 64), pix_fmt="yuv420p10le")
    found = encode(clip, tmp_path / f"b.{suffix}", ffprobe, Deep(scale=1))
    assert found[:2] == (codec, "yuv420p10le")
    assert tag in (None, found[2])
    assert found[3] == ()


def test_a_network_that_sees_8_bits_writes_8_unless_told_otherwise(
    tmp_path: Path, write_clip: Make, moving: Make, ffprobe: Make
) -> None:
    clip = write_clip(tmp_path / "a.mkv", moving(2, 64, 64), pix_fmt="yuv420p10le")
    codec, pix_fmt, _, (note,) = encode(clip, tmp_path / "b.mp4", ffprobe, Enlarger(scale=1))
    assert (codec, pix_fmt) == ("h264", "yuv420p")
    assert "written in 8 bits" in note
    for asked, expected in (("x264", "h264"), ("x265", "hevc")):
        output = tmp_path / f"{asked}.mp4"
        codec, pix_fmt, _, (note,) = encode(clip, output, ffprobe, Enlarger(scale=1), asked)
        assert (codec, pix_fmt) == (expected, "yuv420p10le")
        assert "written in 8 bits" not in note


@pytest.mark.parametrize(
    ("suffix", "depth", "kept"),
    [
        ("mp4", 10, 10), ("mkv", 12, 12), ("ts", 10, 10), ("webm", 10, 10), ("webm", 12, 10),
        ("avi", 10, 10), ("avi", 12, 12), ("mxf", 10, 10), ("m4v", 12, 10),
    ],
)  # fmt: skip
def test_the_codec_that_is_advised_for_more_bits_writes_them_into_this_container(
    tmp_path: Path, write_clip: Make, moving: Make, ffprobe: Make, suffix: str, depth: int,
    kept: int,
) -> None:  # fmt: skip
    clip = write_clip(
        tmp_path / "a.mkv", moving(2, 64, 64), codec="libx265", pix_fmt=f"yuv420p{depth}le",
        options={"x265-params": "log-level=none:bframes=0"},
    )  # fmt: skip
    output = tmp_path / f"b.{suffix}"
    (note,) = encode(clip, output, ffprobe, Enlarger(scale=1))[3]
    advice = re.search(r"--codec (\S+) writes (\d+) bits$", note)
    assert advice is not None
    assert int(advice[2]) == kept
    output.unlink()
    found = encode(clip, output, ffprobe, Enlarger(scale=1), advice[1])
    assert f"{kept}le" in found[1]


def test_a_container_that_holds_no_deep_codec_is_said(
    tmp_path: Path, write_clip: Make, moving: Make
) -> None:
    clip = write_clip(tmp_path / "a.mkv", moving(2, 64, 64), pix_fmt="yuv420p10le")
    with closing(VideoReader(clip)) as reader:
        assert deepest_codec("ogg", reader.info) is None


@pytest.mark.parametrize(("suffix", "codec"), [("webm", "vp9"), ("mp4", "h264"), ("mkv", "h264")])
def test_eight_bits_take_what_every_player_of_the_container_shows(
    tmp_path: Path, clip: Path, ffprobe: Make, suffix: str, codec: str
) -> None:
    assert encode(clip, tmp_path / f"b.{suffix}", ffprobe, Enlarger(scale=1))[0] == codec


@pytest.mark.parametrize(
    ("suffix", "options", "words"),
    [
        ("ogv", {}, r"ogv cannot hold h264; name the output \.mkv"),
        ("dv", {}, "dv cannot hold h264"),
        ("webm", {"codec": "x265"}, "webm cannot hold hevc; choose --codec av1 or vp9, or name"),
    ],
)
def test_what_a_container_refuses_is_not_blamed_on_the_input(
    tmp_path: Path, clip: Path, suffix: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(MediaError, match=words) as refusal:
        infer(InferConfig((clip,), tmp_path / f"b.{suffix}", **options), session=Enlarger())
    assert "invalid" not in str(refusal.value)


def test_aac_of_a_transport_stream_is_encoded_for_avi_with_a_line(
    tmp_path: Path, clip: Path, ffmpeg: Make
) -> None:
    source = tmp_path / "a.ts"
    ffmpeg("-i", clip, "-c", "copy", source)
    done = infer(InferConfig((source,), tmp_path / "b.avi"), session=Enlarger())
    assert any("(aac) is encoded in" in note for note in done.files[0].notes)


@pytest.mark.parametrize("options", [{"crf": 99}, {"codec": "aac"}])
def test_a_wrong_option_is_refused_before_any_input_is_opened(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"crf=99|encodes audio"):
        infer(InferConfig((tmp_path / "none.mp4",), tmp_path / "b.mkv", **options))
