"""Closed captions and other data of single frames, judged with ffprobe and ffmpeg."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from support.cases import find_case
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.result import InferProgress
from vsrc.runtime.pyav_versions import side_data

Make = Callable[..., Any]

FRAMES = 12


def caption_of(index: int) -> bytes:
    """`cc_data` of a frame (ATSC A/53 part 4, section 6.2.3): two characters of EIA-608."""
    letters = bytes((odd(0x41 + index), odd(0x61 + index)))
    return b"\xfc" + letters


def odd(value: int) -> int:
    """Set bit 7 so that the number of bits is odd, as EIA-608 wants it."""
    return value | 0x80 * (1 - bin(value).count("1") % 2)


def sei_of(user_data: bytes) -> bytes:
    """An H.264 SEI unit with data of ATSC A/53, as broadcasters write it (ITU-T T.35)."""
    payload = b"\xb5\0\x31" + user_data
    return b"\0\0\0\1\x06\x04" + bytes((len(payload),)) + payload + b"\x80"


def captions(index: int) -> bytes:
    return b"GA94\x03\xc1\xff" + caption_of(index) + b"\xff"


def active_format(_: int) -> bytes:
    return b"DTG1\x41\xf8"


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory, moving: Make) -> Path:
    """H.264 with B-frames; each frame carries captions of its own."""
    path = tmp_path_factory.mktemp("captions") / "a.ts"
    return write_marked(path, moving(FRAMES), captions)


def write_marked(path: Path, frames: Any, user_data: Callable[[int], bytes]) -> Path:  # noqa: ANN401
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"bf": "2", "a53cc": "0"})
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        packets = []
        for index, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            packets += stream.encode(frame)
        for packet in [*packets, *stream.encode(None)]:
            data, shown = bytes(packet), int(packet.pts)
            # Captions precede the slices, the units of type 1 and 5.
            at = next(
                place
                for place in range(len(data))
                if data[place : place + 3] == b"\0\0\1" and data[place + 3] & 31 in (1, 5)
            )
            marked = av.Packet(
                data[:at].rstrip(b"\0") + sei_of(user_data(shown)) + b"\0" + data[at:]
            )
            marked.pts, marked.dts, marked.time_base = packet.pts, packet.dts, packet.time_base
            marked.stream, marked.is_keyframe = stream, packet.is_keyframe
            container.mux(marked)
    return path


def captions_in(ffprobe: Make, path: Path) -> int:
    """Number of frames with captions."""
    frames = ffprobe(path, "-select_streams", "v", "-show_frames")["frames"]
    return sum("Closed Captions" in str(frame.get("side_data_list")) for frame in frames)


def caption_bytes(path: Path) -> list[bytes]:
    """Captions of each frame in display order."""
    with av.open(str(path)) as container:
        return [side_data(frame).get("A53_CC", b"") for frame in container.decode(video=0)]


@pytest.mark.parametrize("codec", ["x264", "x265"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_each_frame_keeps_its_captions(
    tmp_path: Path, captioned: Path, enlarger: Make, ffprobe: Make, codec: str, suffix: str
) -> None:
    assert captions_in(ffprobe, captioned) == FRAMES
    output = tmp_path / f"b.{suffix}"
    result = infer(InferConfig((captioned,), output, codec=codec), session=enlarger())
    assert result.files[0].notes == ()
    assert captions_in(ffprobe, output) == FRAMES
    assert caption_bytes(output) == [caption_of(index) for index in range(FRAMES)]


def test_captions_do_not_change_the_pictures(
    tmp_path: Path, captioned: Path, enlarger: Make, ffmpeg: Make
) -> None:
    """Without captions the same frames come out, sample by sample."""
    plain = tmp_path / "plain.ts"
    ffmpeg("-i", captioned, "-c", "copy", "-bsf:v", "filter_units=remove_types=6", plain)
    samples = []
    for name, source in {"with": captioned, "without": plain}.items():
        output, raw = tmp_path / f"{name}.mkv", tmp_path / f"{name}.yuv"
        infer(InferConfig((source,), output, crf=0), session=enlarger())
        ffmpeg("-i", output, "-f", "rawvideo", raw)
        samples.append(raw.read_bytes())
    assert len(samples[0]) == FRAMES * 96 * 64 * 3 // 2
    assert samples[0] == samples[1]


def test_a_doubled_rate_keeps_each_caption_once(
    tmp_path: Path, captioned: Path, enlarger: Make
) -> None:
    output = tmp_path / "b.mkv"
    infer(InferConfig((captioned,), output), session=enlarger(window=4, time_scale=2))
    expected = [b""] * (2 * FRAMES - 1)
    expected[::2] = [caption_of(index) for index in range(FRAMES)]
    assert caption_bytes(output) == expected


@pytest.mark.parametrize("output", ["b.mkv", "pictures/%d.png"])
def test_captions_that_cannot_be_kept_are_named_before_the_work(
    tmp_path: Path, captioned: Path, enlarger: Make, output: str
) -> None:
    said: list[InferProgress] = []
    config = InferConfig((captioned,), tmp_path / output, codec="ffv1")
    (note,) = infer(config, session=enlarger(), progress=said.append).files[0].notes
    assert note.startswith("closed captions (EIA-608, EIA-708): left out")
    assert said[0].notes == (note,)
    assert said[0].done == 0


def test_an_active_format_description_is_named(
    tmp_path: Path, moving: Make, enlarger: Make, ffprobe: Make
) -> None:
    source = write_marked(tmp_path / "a.ts", moving(FRAMES), active_format)
    found = ffprobe(source, "-select_streams", "v", "-show_frames")["frames"]
    assert all("Active format description" in str(frame["side_data_list"]) for frame in found)
    (note,) = infer(InferConfig((source,), tmp_path / "b.mkv"), session=enlarger()).files[0].notes
    assert note == "active format description (AFD): left out, libx264 cannot store it"


def test_captions_of_a_broadcast_read_the_same(
    tmp_path: Path, reference: Path, enlarger: Make, ffmpeg: Make, ffprobe: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    source, output = find_case(reference, "video/closed-captions.ts"), tmp_path / "b.mp4"
    config = InferConfig((source,), output, preset="ultrafast")
    assert infer(config, session=enlarger(scale=1)).files[0].notes == ()
    assert captions_in(ffprobe, output) == 240
    monkeypatch.chdir(tmp_path)  # lavfi's file names are hard to quote
    Path("a.ts").symlink_to(source)
    for name in ("a.ts", "b.mp4"):
        ffmpeg("-f", "lavfi", "-i", f"movie={name}[out0+subcc]", "-map", "s:0", f"{name}.srt")
    assert Path("a.ts.srt").read_text() == Path("b.mp4.srt").read_text()
    assert "Japanese" in Path("a.ts.srt").read_text()


@pytest.mark.parametrize(
    ("suffix", "codec", "words"),
    [("webm", "vp9", r"\(\.mkv with --codec x264, "), ("mkv", "vp9", r"\(--codec x264, x265, ")],
)
def test_the_advice_for_captions_suits_the_container(
    tmp_path: Path, captioned: Path, enlarger: Make, suffix: str, codec: str, words: str
) -> None:
    config = InferConfig((captioned,), tmp_path / f"b.{suffix}", codec=codec)
    (note,) = infer(config, session=enlarger()).files[0].notes
    assert re.search(words, note)
