"""Recordings that begin in the middle of a group of pictures."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from support.marked_clips import H264, HEVC, MPEG2, probe, read_marks
from support.marked_runs import AV1, FRAME, MPEG4, OPEN, VP8, VP9, make, said, upscale
from vsrc.runtime.errors import MediaError


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
