"""Files of many containers and codecs through `infer`: all pictures, in order, at their times.

The network changes nothing, the frames carry their number, and ffmpeg and ffprobe read both files.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.enlarger import Enlarger
from support.marked_clips import FLAT, H264, HEVC, MPEG2, probe, read_marks
from support.marked_runs import AV1, FRAME, HIDDEN, MPEG4, OPEN, TICK, VP8, VP9, make, said, upscale
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer

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


def test_the_rate_of_small_pictures_in_a_program_stream_is_that_of_the_codec(
    tmp_path: Path,
) -> None:
    """Many of them share a packet, and a time: FFmpeg guesses a rate from times seconds apart."""
    source = make(tmp_path / "a.mpg", f"{H264} -c:a mp2", seconds=4)
    upscale(source, tmp_path / "out.mkv")
    after = probe(tmp_path / "out.mkv")
    assert read_marks(tmp_path / "out.mkv") == list(range(100))
    length = after.times[-1] - after.times[0]
    assert length == pytest.approx(99 * FRAME, abs=0.2)  # FFmpeg gives times to later pictures


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
