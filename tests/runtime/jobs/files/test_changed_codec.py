"""Recordings of different codecs and sizes in one file, as `cat h264.ts hevc.ts` makes it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

from support import marked_clips
from support.enlarger import Enlarger
from support.marked_clips import NOISE, make_clip, probe, read_marks
from vsrc.runtime.decode.recordings import iter_packets
from vsrc.runtime.decode.transport import program_parts
from vsrc.runtime.decode.transport.program_parts import Part, find_parts
from vsrc.runtime.errors import MediaError
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer

FRAME = 0.04

H264 = f"{marked_clips.H264} -c:a mp2"
HEVC = f"{marked_clips.HEVC} -c:a mp2"
MPEG2 = f"{marked_clips.MPEG2} -b:v 2M -c:a mp2"

JOINED = {
    "hevc-second.ts": (H264, HEVC),
    "hevc-first.ts": (HEVC, H264),
    "mpeg2-second.ts": (H264, MPEG2),
    "mpeg2-first.ts": (MPEG2, f"{H264} -vf scale=128:96"),
    "other-ids.ts": (H264, f"{H264} -mpegts_start_pid 600 -mpegts_pmt_start_pid 5000"),
    "other-size.vob": (MPEG2, f"{MPEG2} -vf scale=128:96"),
    "h264-second.vob": (f"{MPEG2} {NOISE}", f"{H264} {NOISE}"),
    "h264-first.vob": (f"{H264} {NOISE}", f"{MPEG2} {NOISE}"),
    "hevc-second.mpg": (f"-c:v mpeg1video -q:v 3 -bf 2 -c:a mp2 {NOISE}", f"{HEVC} {NOISE}"),
    "10-bits.ts": (H264, f"{H264} -pix_fmt yuv420p10le"),
}


def upscale(source: Path, output: Path) -> list[str]:
    config = InferConfig((source,), output, codec="ffv1", threads=1)
    notes = infer(config, session=Enlarger(scale=1, window=1)).files[0].notes
    return [note for note in notes if "are upscaled in 8 bits" not in note]


def join(
    path: Path, first: str, second: str, *, skipped: float = 0, is_numbered_on: bool = False
) -> Path:
    """Join two recordings; of the second, a share of the bytes is left out at the beginning.

    Args:
        path: Of the file.
        first: Words for ffmpeg.
        second: The same for the second recording.
        skipped: What is left out.
        is_numbered_on: Whether the packets of the video are numbered as if nothing was left out,
            as it happens by chance at one cut in 16.
    """
    a = make_clip(path.with_name(f"a{path.suffix}"), first).read_bytes()
    b = make_clip(path.with_name(f"b{path.suffix}"), second, first=25).read_bytes()
    rest = b[int(len(b) * skipped) // 188 * 188 :]
    if skipped:
        following = next(video_counters(rest))
        wanted = (list(video_counters(a))[-1] + (1 if is_numbered_on else 9)) % 16
        rest = renumber(rest, (wanted - following) % 16)
    path.write_bytes(a + rest)
    return path


def renumber(data: bytes, added: int) -> bytes:
    """Add a number to the continuity counters of the packets of the video."""
    packets = np.frombuffer(data, np.uint8).reshape(-1, 188).copy()
    is_video = (packets[:, 1] & 0x1F == 1) & (packets[:, 2] == 0)
    packets[is_video, 3] = packets[is_video, 3] & 0xF0 | (packets[is_video, 3] + added) & 0x0F
    return packets.tobytes()


def video_counters(data: bytes) -> Iterator[int]:
    """Yield the continuity counters of the packets that carry video."""
    for at in range(0, len(data), 188):
        if data[at + 1] & 0x1F == 1 and data[at + 2] == 0 and data[at + 3] & 0x10:
            yield data[at + 3] & 0x0F


@pytest.mark.parametrize("name", JOINED)
def test_recordings_of_different_codecs_run_on(tmp_path: Path, name: str) -> None:
    source = join(tmp_path / name, *JOINED[name])
    assert upscale(source, tmp_path / "out.mkv") == ["the clock restarts at 1.0 s"]
    after = probe(tmp_path / "out.mkv")
    assert read_marks(tmp_path / "out.mkv") == list(range(50))
    np.testing.assert_allclose(np.diff(after.times), FRAME, atol=0.004)
    sounds = [len(probe(tmp_path / f"{part}{source.suffix}").sound) for part in "ab"]
    assert len(after.sound) == sum(sounds) > 80


def test_audio_that_changes_its_codec_is_encoded(tmp_path: Path) -> None:
    source = join(tmp_path / "joined.ts", H264, H264.replace("mp2", "aac"))
    notes = upscale(source, tmp_path / "out.mkv")
    assert len(notes) == 2
    assert "mp2 first and aac later" in notes[1]
    after = probe(tmp_path / "out.mkv")
    assert after.tracks == ["ffv1", "aac"]
    assert np.diff(after.sound).max() < FRAME
    assert after.sound[-1] == pytest.approx(2, abs=0.05)
    assert read_marks(tmp_path / "out.mkv") == list(range(50))


def test_a_pipe_that_goes_on_with_another_codec_ends(tmp_path: Path) -> None:
    """It cannot be opened a second time, in its middle."""
    source = join(tmp_path / "joined.ts", H264, HEVC)
    with av.open(io.BytesIO(source.read_bytes()), "r") as container:
        packets = iter_packets(container, container.streams.video[0], [])
        assert len(list(islice(packets, 20))) == 20
        with pytest.raises(MediaError, match="another codec"):
            list(packets)


OPEN = "-c:v libx264 -preset ultrafast -bf 2 -x264-params keyint=10:open-gop=1:scenecut=0 -c:a mp2"


@pytest.mark.parametrize("is_numbered_on", [False, True])
@pytest.mark.parametrize(
    ("first", "second"),
    [(H264, H264), (OPEN, OPEN), (HEVC, HEVC), (MPEG2, MPEG2), (H264, HEVC)],
)
def test_a_later_recording_that_begins_mid_gop_shows_no_broken_picture(
    tmp_path: Path, first: str, second: str, is_numbered_on: bool
) -> None:
    """As at the beginning of a file, but the frame before is repeated: nothing later moves."""
    path = tmp_path / "joined.ts"
    source = join(path, first, second, skipped=0.32, is_numbered_on=is_numbered_on)
    check_cut(source, tmp_path / "out.mkv")


def check_cut(source: Path, output: Path) -> None:
    restart, cut = upscale(source, output)
    assert restart == "the clock restarts at 1.0 s"
    marks = read_marks(output)
    count = marks.count(24) - 1
    assert cut.startswith(f"{count} frames of recordings that begin in the middle of a group")
    assert marks == [*range(25), *[24] * count, *range(marks[25 + count], 50)]
    assert marks[25 + count] in range(32, 48)
    steps = np.diff(probe(output).times)
    assert 0.9 * FRAME < steps.min() < steps.max() < 2.1 * FRAME  # a frame is lost at the cut


@pytest.mark.parametrize("skipped", [0.15, 0.27, 0.4])
@pytest.mark.parametrize(("first", "second"), [(H264, H264), (MPEG2, MPEG2), (MPEG2, H264)])
def test_a_later_program_stream_that_begins_mid_gop_shows_no_broken_picture(
    tmp_path: Path, first: str, second: str, skipped: float
) -> None:
    """The rest of a picture at the cut does not replace rows of the last one before it."""
    parts = [
        make_clip(tmp_path / f"{n}.vob", f"{words} {NOISE}", first=25 * n).read_bytes()
        for n, words in enumerate((first, second))
    ]
    source = tmp_path / "joined.vob"
    source.write_bytes(parts[0] + parts[1][int(len(parts[1]) * skipped) // 2048 * 2048 :])
    check_cut(source, tmp_path / "out.mkv")


@pytest.mark.parametrize("share", [0.2, 0.25, 0.3])
def test_a_rest_of_a_key_frame_at_a_cut_is_not_shown(tmp_path: Path, share: float) -> None:
    """FFmpeg makes a packet of it that has no time stamp."""
    source = join(tmp_path / "joined.ts", HEVC, HEVC)
    first, second = ((tmp_path / f"{part}.ts").read_bytes() for part in "ab")
    source.write_bytes(first + second[int(len(second) * share) // 188 * 188 :])
    check_cut(source, tmp_path / "out.mkv")


@pytest.mark.parametrize("lost", [0, 777])
def test_parts_begin_with_the_tables_of_other_codecs(tmp_path: Path, lost: int) -> None:
    """Tables that only change their version, or that are damaged, begin no part."""
    clips = [make_clip(tmp_path / f"{n}.ts", words) for n, words in enumerate((H264, HEVC))]
    first, second = (clip.read_bytes() for clip in clips)
    place = second.index(b"\x47\x50\x00")  # the first PMT, behind SDT and PAT
    damaged = bytearray(first)
    damaged[first.index(b"\x47\x50\x00") + 20] ^= 0xFF
    first = bytes(damaged) + first[: len(first) - lost]
    source = tmp_path / "joined.ts"
    source.write_bytes(first + second)
    stop = len(first) + place
    assert find_parts(source) == (Part(0, stop), Part(stop - 188, 0))
    assert find_parts(clips[0]) == (Part(0, 0),)


@pytest.mark.parametrize(("suffix", "words"), [("ts", (H264, HEVC)), ("vob", (MPEG2, H264))])
def test_parts_of_a_large_file_are_found_by_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, words: tuple[str, str]
) -> None:
    clips = [make_clip(tmp_path / f"{n}.{suffix}", each) for n, each in enumerate(words)]
    first, second = (clip.read_bytes() for clip in clips)
    for repeats in ((4, 4), (7, 1), (1, 7)):
        source = tmp_path / f"joined.{suffix}"
        source.write_bytes(first * repeats[0] + second * repeats[1])
        whole = find_parts(source)
        assert len(whole) == 2
        assert 0 <= whole[1].start - repeats[0] * len(first) <= 188
        with monkeypatch.context() as patch:
            for name, value in (("WHOLE", 0), ("SAMPLE", 30_000), ("SHORTEST", 60_000)):
                patch.setattr(program_parts, f"_{name}_BYTES", value)
            program_parts._find_parts.cache_clear()
            assert find_parts(source) == whole
        program_parts._find_parts.cache_clear()
