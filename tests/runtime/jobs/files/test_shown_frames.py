"""Frames that are hidden, lie behind a gap, or have stamps out of order."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from support.marked_clips import FLAT, probe, read_marks, run_program
from support.marked_runs import FRAME, TICK, make, said, upscale


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
