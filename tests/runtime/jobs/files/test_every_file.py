"""Files of many containers and codecs through `infer`: all pictures, in order, at their times.

The network changes nothing, the frames carry their number, and ffmpeg and ffprobe read both files.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from support.enlarger import Enlarger
from support.marked_clips import FLAT, H264, HEVC, MPEG2, make_clip, probe, read_marks, run_program
from vsrc.runtime.errors import MediaError
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.result import FileResult

FRAME = 0.04
TICK = 0.002
"""Length of a frame, and what Matroska's milliseconds add to a difference, seconds."""

OPEN = "-c:v libx264 -preset ultrafast -bf 2 -x264-params keyint=10:open-gop=1:scenecut=0"
MPEG4 = "-c:v mpeg4 -bf 2 -g 10 -q:v 3 -sc_threshold 1000000000"
VP8 = "-c:v libvpx -g 10 -b:v 200k -deadline realtime -cpu-used 8"
VP9 = "-c:v libvpx-vp9 -g 10 -b:v 200k -deadline realtime -cpu-used 8"
HIDDEN = "-b:v 200k -auto-alt-ref 1 -lag-in-frames 16 -deadline good -cpu-used 5"
AV1 = "-c:v libaom-av1 -cpu-used 8 -usage realtime -g 10"

WHOLE = {
    "h264.mp4": f"{H264} -c:a aac",
    "h264-flat.mp4": f"{FLAT} -c:a aac",
    "h264-open.mp4": f"{OPEN} -c:a aac",
    "h264.mov": f"{H264} -c:a pcm_s16le",
    "h264.3gp": f"{H264} -c:a aac",
    "h264.mkv": f"{H264} -c:a libmp3lame",
    "h264.ts": f"{H264} -c:a mp2",
    "h264.avi": f"{H264} -c:a libmp3lame",
    "h264-deep.avi": "-c:v libx264 -bf 5 -b_strategy 0 -c:a libmp3lame",
    "h264-flat.avi": f"{FLAT} -c:a libmp3lame",
    "h264.asf": f"{H264} -c:a libmp3lame",
    "h264-flat.asf": f"{FLAT} -c:a libmp3lame",
    "h264.flv": f"{H264} -c:a aac",
    "h264.vob": f"{H264} -c:a mp2",
    "hevc.mp4": f"{HEVC} -c:a aac",
    "hevc.ts": f"{HEVC} -c:a aac",
    "hevc-open.mkv": f"{HEVC}:open-gop=1 -c:a aac",
    "mpeg1.mpg": "-c:v mpeg1video -q:v 3 -bf 2 -g 10 -c:a mp2",
    "mpeg2.vob": f"{MPEG2} -c:a mp2",
    "mpeg2-flat.vob": "-c:v mpeg2video -g 10 -c:a ac3",
    "mpeg2.ts": f"{MPEG2} -c:a mp2",
    "mpeg2.mxf": f"{MPEG2} -c:a pcm_s16le -ar 48000",
    "mpeg2.avi": f"{MPEG2} -c:a mp2",
    "mpeg4.mp4": f"{MPEG4} -c:a aac",
    "mpeg4.3gp": f"{MPEG4} -c:a aac",
    "mpeg4.avi": f"{MPEG4} -c:a libmp3lame",
    "mpeg4-flat.avi": "-c:v mpeg4 -g 10 -q:v 2 -c:a libmp3lame",
    "mpeg4.asf": f"{MPEG4} -c:a libmp3lame",
    "mpeg4.ts": f"{MPEG4} -c:a mp2",
    "msmpeg4.avi": "-c:v msmpeg4 -g 1 -c:a libmp3lame",
    "wmv2.wmv": "-c:v wmv2 -q:v 2 -c:a libmp3lame",
    "flv1.flv": "-c:v flv -q:v 2 -c:a libmp3lame -ar 44100",
    "theora.ogv": "-c:v libtheora -q:v 9 -c:a libvorbis",
    "vp8.webm": f"{VP8} -c:a libopus",
    "vp8-hidden.webm": f"-c:v libvpx {HIDDEN} -c:a libopus",
    "vp9.webm": f"{VP9} -c:a libopus",
    "vp9-hidden.webm": f"-c:v libvpx-vp9 {HIDDEN} -c:a libopus",
    "vp9-hidden.mp4": f"-c:v libvpx-vp9 {HIDDEN} -c:a aac",
    "av1.mkv": f"{AV1} -c:a libopus",
    "av1-hidden.mp4": "-c:v libaom-av1 -cpu-used 8 -lag-in-frames 16 -c:a aac",
    "mjpeg.mov": "-c:v mjpeg -pix_fmt yuvj420p -c:a pcm_s16le",
    "mjpeg.avi": "-c:v mjpeg -pix_fmt yuvj420p -c:a pcm_s16le",
    "prores.mov": "-c:v prores_ks -pix_fmt yuv422p10le -c:a pcm_s16le",
    "jpeg2000.mxf": "-c:v jpeg2000 -pix_fmt yuv422p -c:a pcm_s16le -ar 48000",
    "huffyuv.avi": "-c:v huffyuv -pix_fmt yuv422p -c:a pcm_s16le",
    "cinepak.avi": "-c:v cinepak -c:a pcm_s16le",
    "qtrle.mov": "-c:v qtrle -c:a pcm_s16le",
    "dirac.mkv": "-c:v vc2 -pix_fmt yuv422p -c:a flac",
}  # fmt: skip
"""Name of the file and ffmpeg's arguments: every codec with and without B-frames."""


MORE = {
    "hevc.avi": f"{HEVC} -tag:v HEVC -c:a libmp3lame",
    "hevc.m2ts": f"{HEVC} -c:a eac3 -f mpegts -mpegts_m2ts_mode 1",
    "h264-opus.ts": f"{H264} -c:a libopus",
    "h264-dts.ts": f"{H264} -c:a dca -strict -2",
    "hevc-opus.mp4": f"{HEVC} -c:a libopus",
    "h264-truehd.mkv": f"{H264} -c:a truehd -strict -2",
    "h264-wavpack.mkv": f"{H264} -c:a wavpack",
    "h264.ismv": f"{H264} -c:a aac",
    "h264-negative.mp4": f"{H264} -c:a aac -movflags negative_cts_offsets",
    "h264-fragments.mp4": f"{H264} -c:a aac -movflags frag_keyframe+empty_moov",
    "h264-10.mov": f"{H264} -pix_fmt yuv420p10le -metadata:s:v rotate=90 -c:a alac",
    "h264-444.mp4": f"{H264} -pix_fmt yuv444p -vf scale=321:179:flags=neighbor -c:a aac",
    "rgb.mkv": "-c:v libx264rgb -preset ultrafast -bf 2 -qp 0 -c:a flac",
    "mpeg1.ts": "-c:v mpeg1video -q:v 3 -bf 2 -g 10 -c:a mp2",
    "mpeg1.avi": "-c:v mpeg1video -q:v 3 -bf 2 -g 10 -c:a mp2",
    "h263.3gp": "-c:v h263 -s 176x144 -q:v 3 -c:a aac",
    "rv20.rm": "-c:v rv20 -g 1 -q:v 2 -c:a ac3",
    "vp9-hidden.avi": f"-c:v libvpx-vp9 {HIDDEN} -c:a libmp3lame",
    "vp8-hidden.ogv": f"-c:v libvpx {HIDDEN} -c:a libvorbis",
    "av1-10.mkv": f"{AV1} -pix_fmt yuv420p10le -c:a libopus",
    "snow.avi": "-c:v snow -strict -2 -q:v 1 -c:a mp2",
    "cfhd.mov": "-c:v cfhd -pix_fmt yuv422p10le -c:a pcm_s24le",
    "odd.mkv": "-c:v ffv1 -vf scale=65:49:flags=neighbor -c:a flac",
}
"""The same, of codecs, containers, sizes and pixels that are rarer."""


@cache
def has_encoders(words: str) -> bool:
    known = run_program("ffmpeg", "-hide_banner", "-encoders").decode().split()
    arguments = words.split()
    return all(arguments[place + 1] in known for place in indices(arguments, "-c:v", "-c:a"))


def indices(words: list[str], *wanted: str) -> list[int]:
    return [place for place, word in enumerate(words) if word in wanted]


def make(path: Path, words: str, **options: Any) -> Path:  # noqa: ANN401
    if not has_encoders(words):
        pytest.skip(f"this ffmpeg has no encoder for {words}")
    return make_clip(path, words, **options)


def upscale(source: Path, output: Path, **options: Any) -> FileResult:  # noqa: ANN401
    config = InferConfig((source,), output, codec="ffv1", threads=1, **options)
    return infer(config, session=Enlarger(scale=1, window=1)).files[0]


def said(result: FileResult) -> list[str]:
    """What was noted, but for what is said of every float source."""
    return [note for note in result.notes if "are upscaled in 8 bits" not in note]


@pytest.mark.parametrize("name", [*WHOLE, *MORE])
def test_all_pictures_come_in_order_at_their_times(tmp_path: Path, name: str) -> None:
    source = make(tmp_path / name, (WHOLE | MORE)[name])
    result = upscale(source, tmp_path / "out.mkv")
    before, after = probe(source), probe(tmp_path / "out.mkv")
    assert read_marks(tmp_path / "out.mkv") == list(range(25))
    assert said(result) == []
    assert (result.frames, len(after.times), len(before.times)) == (25, 25, 25)
    # ffprobe has no times for the last frames of some files.
    steps = [FRAME if np.isnan(b - a) else b - a for a, b in pairwise(before.times)]
    np.testing.assert_allclose(np.diff(after.times), steps, atol=TICK)
    assert len(after.sound) == len(before.sound) > 0
    assert abs(after.offset - before.offset) < FRAME


OTHERS: dict[str, dict[str, Any]] = {
    "webm": {"codec": "vp9", "preset": "8", "crf": 10},
    "ts": {"preset": "ultrafast", "crf": 10},
}
"""Suffix of other containers and how to encode for them: fast, and so that marks survive."""


@pytest.mark.parametrize("name", WHOLE)
def test_other_containers_hold_the_pictures_and_the_sound_at_their_times(
    tmp_path: Path, name: str
) -> None:
    source = make(tmp_path / name, WHOLE[name])
    before = probe(source)
    steps = [FRAME if np.isnan(b - a) else b - a for a, b in pairwise(before.times)]
    for suffix, options in OTHERS.items():
        output = tmp_path / f"out.{suffix}"
        config = InferConfig((source,), output, threads=1, **options)
        result = infer(config, session=Enlarger(scale=1, window=1)).files[0]
        after = probe(output)
        assert read_marks(output) == list(range(25))
        np.testing.assert_allclose(np.diff(after.times), steps, atol=TICK)
        assert abs(after.offset - before.offset) < FRAME
        # Encoded audio has other packets, and ends with another part of one.
        ends = [each.sound[-1] - each.times[0] for each in (before, after)]
        assert ends[1] == pytest.approx(ends[0], abs=2 * FRAME)
        (audio,) = (track for track in after.tracks if track not in ("vp9", "h264"))
        is_copied = audio in before.tracks
        assert len(after.sound) == len(before.sound) or not is_copied
        assert any("is encoded in" in note for note in said(result)) is not is_copied


WITHOUT_TIMES = {
    "flat.h264": FLAT,
    "deep.h264": H264,
    "a.hevc": HEVC,
    "a.m1v": "-c:v mpeg1video -bf 2 -g 10 -q:v 3",
    "flat.m1v": "-c:v mpeg1video -g 10 -q:v 3",
    "a.m2v": f"{MPEG2} -q:v 3",
    "a.mpeg4": f"{MPEG4} -f m4v",
    "a.drc": "-c:v vc2 -pix_fmt yuv422p -f dirac",
    "a.obu": "-c:v libaom-av1 -cpu-used 8 -lag-in-frames 16",
    "a.ivf": f"-c:v libvpx-vp9 {HIDDEN}",
    "mpeg2.asf": f"{MPEG2} -q:v 3",
    "mpeg1.asf": "-c:v mpeg1video -bf 2 -g 10 -q:v 3",
}
"""Streams that have no times, or of which FFmpeg makes wrong ones."""


@pytest.mark.parametrize("name", WITHOUT_TIMES)
def test_pictures_without_times_are_shown_one_after_the_other(tmp_path: Path, name: str) -> None:
    source = make(tmp_path / name, f"{WITHOUT_TIMES[name]} -an")
    result = upscale(source, tmp_path / "out.mkv")
    after = probe(tmp_path / "out.mkv")
    assert read_marks(tmp_path / "out.mkv") == list(range(25))
    np.testing.assert_allclose(np.diff(after.times), FRAME, atol=TICK)
    assert said(result) == []
    upscale(source, tmp_path / "part.mkv", start=0.4, frames=5)
    assert read_marks(tmp_path / "part.mkv") == list(range(10, 15))


UNEVEN = "-vf setpts=(N+2*floor(N/5))/25/TB -fps_mode vfr"
"""Each fifth frame is shown for three."""

VARIABLE = {
    "a.mkv": f"{H264} -c:a aac",
    "a.mov": f"{HEVC} -tag:v hvc1 -c:a alac",
    "a.ts": f"{HEVC} -c:a aac",
    "a.flv": f"{H264} -c:a aac",
    "a.webm": f"{VP9} -c:a libopus",
    "a.ogv": "-c:v libtheora -q:v 9 -c:a libvorbis",
    "a.gif": "-an -pix_fmt gray",
    "a.apng": "-an -plays 1",
}


@pytest.mark.parametrize("name", VARIABLE)
def test_variable_times_are_kept(tmp_path: Path, name: str) -> None:
    source = make(tmp_path / name, f"{UNEVEN} {VARIABLE[name]}")
    result = upscale(source, tmp_path / "out.mkv")
    before, after = probe(source), probe(tmp_path / "out.mkv")
    assert read_marks(tmp_path / "out.mkv") == list(range(len(before.times)))
    np.testing.assert_allclose(np.diff(after.times), np.diff(before.times), atol=TICK)
    assert np.diff(after.times).max() > 2.9 * FRAME
    assert said(result) == []


# --- clocks ---------------------------------------------------------------------------------------


def join(path: Path, *parts: Path) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


JOINED = {
    "h264.ts": (f"{H264} -c:a mp2", f"{H264} -c:a mp2"),
    "h264-flat-first.ts": (f"{FLAT} -c:a mp2", f"{H264} -c:a mp2"),
    "h264-flat-second.ts": (f"{H264} -c:a mp2", f"{FLAT} -c:a mp2"),
    "hevc.ts": (f"{HEVC} -c:a aac", f"{HEVC} -c:a aac"),
    "mpeg2.ts": (f"{MPEG2} -c:a mp2", f"{MPEG2} -c:a mp2"),
    "mpeg2.vob": (f"{MPEG2} -c:a mp2", f"{MPEG2} -c:a mp2"),
    "mpeg2.mpg": (f"{MPEG2} -c:a mp2", f"{MPEG2} -c:a mp2"),
    # The clock of the second part is ahead by more than ten seconds, or far behind.
    "ahead.ts": (f"{H264} -c:a mp2", f"{H264} -c:a mp2 -output_ts_offset 100"),
    "behind.ts": (f"{H264} -c:a mp2 -output_ts_offset 1000", f"{H264} -c:a mp2"),
    "behind.vob": (f"{MPEG2} -c:a mp2 -output_ts_offset 1000", f"{MPEG2} -c:a mp2"),
}


@pytest.mark.parametrize("name", JOINED)
def test_joined_recordings_run_on(tmp_path: Path, name: str) -> None:
    first, second = JOINED[name]
    parts = [
        make(tmp_path / f"1-{name}", first), make(tmp_path / f"2-{name}", second, first=25),
    ]  # fmt: skip
    source = join(tmp_path / name, *parts)
    result = upscale(source, tmp_path / "out.mkv")
    after = probe(tmp_path / "out.mkv")
    assert read_marks(tmp_path / "out.mkv") == list(range(50))
    assert said(result) == ["the clock restarts at 1.0 s"]
    np.testing.assert_allclose(np.diff(after.times), FRAME, atol=2 * TICK)
    assert len(after.sound) == sum(len(probe(part).sound) for part in parts)
    assert abs(after.offset - probe(parts[0]).offset) < FRAME
    # Sound and pictures of the second part stay together, too.
    after_joint = after.sound[len(probe(parts[0]).sound)]
    assert abs(after.times[25] - after_joint - probe(parts[1]).offset) < FRAME


def test_start_counts_continuous_time(tmp_path: Path) -> None:
    words = f"{FLAT} -c:a mp2"
    parts = [make(tmp_path / f"{n}.ts", words, first=50 * n, seconds=2) for n in range(4)]
    source = join(tmp_path / "joined.ts", *parts)
    upscale(source, tmp_path / "out.mkv", start=6.4, frames=10)
    assert read_marks(tmp_path / "out.mkv") == list(range(160, 170))
    after = probe(tmp_path / "out.mkv")
    assert len(after.sound) >= 10 * FRAME // 0.024 - 1
    assert abs(after.offset) < FRAME


@pytest.mark.parametrize("name", ["h264.ts", "mpeg2.vob"])
def test_a_clock_that_wraps_runs_on(tmp_path: Path, name: str) -> None:
    words = f"{H264 if name == 'h264.ts' else MPEG2} -c:a mp2"
    wrap = 2**33 / 90000
    source = make(tmp_path / name, f"{words} -output_ts_offset {wrap - 2}", seconds=2)
    result = upscale(source, tmp_path / "out.mkv")
    after = probe(tmp_path / "out.mkv")
    assert read_marks(tmp_path / "out.mkv") == list(range(50))
    np.testing.assert_allclose(np.diff(after.times), FRAME, atol=2 * TICK)
    assert [note for note in said(result) if "restarts" not in note] == []


# --- beginnings -----------------------------------------------------------------------------------


def drop_first(source: Path, target: Path, *, packets: int) -> Path:
    """Copy without the first packets of the video."""
    dropped = 0
    with av.open(str(source)) as whole, av.open(str(target), "w") as rest:
        streams = {
            one.index: rest.add_stream_from_template(one, opaque=True) for one in whole.streams
        }
        for packet in whole.demux():
            is_video = packet.stream.type == "video"
            if not packet.size or (is_video and (dropped := dropped + 1) <= packets):
                continue
            packet.stream = streams[packet.stream.index]
            rest.mux(packet)
    return target


MID_GOP = {
    "h264.ts": f"{H264} -c:a mp2",
    "h264-open.ts": f"{OPEN} -c:a mp2",
    "h264.mkv": f"{H264} -c:a mp2",
    "hevc.ts": f"{HEVC} -c:a mp2",
    "mpeg2.ts": f"{MPEG2} -c:a mp2",
    "mpeg2.vob": f"{MPEG2} -c:a mp2",
    "mpeg4.ts": f"{MPEG4} -c:a mp2",
    "vp8.webm": f"{VP8} -c:a libopus",
    "vp9.webm": f"{VP9} -c:a libopus",
    "av1.mkv": f"{AV1} -c:a libopus",
}


@pytest.mark.parametrize("name", MID_GOP)
def test_a_recording_that_begins_mid_gop_begins_at_its_first_clean_picture(
    tmp_path: Path, name: str
) -> None:
    whole = make(tmp_path / f"whole-{name}", MID_GOP[name])
    source = drop_first(whole, tmp_path / name, packets=4)
    result = upscale(source, tmp_path / "out.mkv")
    after = probe(tmp_path / "out.mkv")
    marks = read_marks(tmp_path / "out.mkv")
    assert marks == list(range(marks[0], 25))
    # ffmpeg's GOPs of MPEG-2 and MPEG-4 count from the first B-frames.
    assert 8 <= marks[0] <= 12
    (note,) = said(result)
    assert "begins in the middle of a group of pictures" in note
    assert abs(after.offset) < FRAME
    assert len(after.sound) > 20


def test_a_recording_without_a_clean_picture_fails(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.ts", f"{H264} -g 250 -an")
    source = drop_first(whole, tmp_path / "rest.ts", packets=4)
    with pytest.raises(MediaError, match="middle of a group of pictures"):
        upscale(source, tmp_path / "out.mkv")
    assert not (tmp_path / "out.mkv").exists()


# --- packets that owe no frame --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words", "shown"),
    [
        ("vp8.webm", "-c:v libvpx -g 1 -b:v 500k", 0x10),  # RFC 6386, section 9.1
        ("vp9.webm", "-c:v libvpx-vp9 -g 1 -b:v 500k", 0x02),  # specification, section 6.2
    ],
)
def test_a_hidden_frame_in_a_packet_of_its_own_is_not_counted(
    tmp_path: Path, name: str, words: str, shown: int
) -> None:
    whole = make(tmp_path / f"whole-{name}", f"{words} -deadline realtime -cpu-used 8 -an")
    with av.open(str(whole)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    data = whole.read_bytes()
    hidden = bytes([packets[5][0] & ~shown]) + packets[5][1:]
    assert hidden != packets[5]
    source = tmp_path / name
    source.write_bytes(data.replace(packets[5], hidden))
    result = upscale(source, tmp_path / "out.mkv")
    assert read_marks(tmp_path / "out.mkv") == [*range(5), *range(6, 25)]
    assert len(probe(source).times) == 24
    assert said(result) == []


def test_frames_of_av1_in_packets_of_their_own_are_counted_when_shown(tmp_path: Path) -> None:
    words = "-c:v libaom-av1 -cpu-used 8 -lag-in-frames 16 -an"
    whole = make(tmp_path / "whole.mkv", words)
    source = tmp_path / "split.mkv"
    run_program("ffmpeg", "-i", whole, "-c", "copy", "-bsf:v", "av1_frame_split", source)
    with av.open(str(source)) as container:
        assert sum(1 for packet in container.demux(video=0) if packet.size) > 25
    result = upscale(source, tmp_path / "out.mkv")
    assert read_marks(tmp_path / "out.mkv") == list(range(25))
    assert said(result) == []


# --- time -----------------------------------------------------------------------------------------


def test_a_gap_in_time_is_kept(tmp_path: Path) -> None:
    gap = "-vf setpts=N/25/TB+gte(N\\,7)*72000/TB"
    source = make(
        tmp_path / "gap.mkv", f"{gap} -c:v mjpeg -pix_fmt yuvj420p -an -t 80000 -frames:v 25"
    )
    result = upscale(source, tmp_path / "out.mkv")
    times = probe(tmp_path / "out.mkv").times
    assert result.frames == len(times) == len(probe(source).times)
    np.testing.assert_allclose(times, probe(source).times, atol=TICK)
    assert times[7] - times[6] > 72000
    assert said(result) == []


def test_stamps_out_of_order_are_put_in_the_order_of_the_decoder(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.mkv", f"{FLAT} -an")
    source = tmp_path / "mixed.mkv"
    order = [1, 0, 2, 3, 5, 4, *range(6, 25)]
    with av.open(str(whole)) as container, av.open(str(source), "w") as target:
        video = container.streams.video[0]
        stream = target.add_stream_from_template(video)
        packets = [packet for packet in container.demux(video) if packet.size]
        stamps = [packet.pts or 0 for packet in packets]
        for packet, place in zip(packets, order, strict=True):
            packet.dts, packet.pts = (packet.pts or 0) - 80, stamps[place]
            packet.stream = stream
            target.mux(packet)
    result = upscale(source, tmp_path / "out.mkv")
    assert read_marks(tmp_path / "out.mkv") == list(range(25))
    np.testing.assert_allclose(np.diff(probe(tmp_path / "out.mkv").times), FRAME, atol=TICK)
    assert said(result) == []
