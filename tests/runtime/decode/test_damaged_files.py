"""What comes out of broken files."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from support.decoded import read

Frames = NDArray[np.uint8]
Make = Callable[..., Any]


def packets_of(path: Path) -> list[tuple[int, int]]:
    """Place and size of each video packet in the file."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        return [(packet.pos or 0, packet.size) for packet in packets]


def overwrite(path: Path, place: int, data: bytes) -> None:
    with path.open("rb+") as file:
        file.seek(place)
        file.write(data)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("broken", [(5,), (5, 6, 7), (0,), (-1,), (0, 11, -1)])
def test_damaged_packets_are_counted_and_no_frame_is_missing(
    tmp_path: Path, write_clip: Make, moving: Make, suffix: str, broken: tuple[int, ...]
) -> None:
    options = {"g": "6", "bf": "2"}
    path = write_clip(tmp_path / f"a.{suffix}", moving(24), options=options)
    good = [frame.pts for frame in read(path)[1]]
    places = packets_of(path)
    for index in broken:
        place, size = places[index]
        header = 0 if suffix == "mp4" else 8  # behind the block header of Matroska
        overwrite(path, place + header, b"\xff" * (size - header))
    reader, frames = read(path)
    assert [frame.pts for frame in frames] == good
    assert "damaged packet" in " ".join(reader.notes())


CODECS = {
    "libx264": ("mp4", {"g": "12", "bf": "2"}),
    "libx265": ("mp4", {"x265-params": "keyint=12:log-level=none"}),
    "libvpx-vp9": ("mkv", {"g": "12", "deadline": "realtime", "cpu-used": "8"}),
    "libvpx": ("mkv", {"g": "12", "deadline": "realtime", "cpu-used": "8"}),
    "mpeg4": ("mp4", {"g": "12", "bf": "2"}),
    "mpeg2video": ("mkv", {"g": "12", "bf": "2"}),
    "ffv1": ("mkv", {}),
    "libsvtav1": ("mp4", {"preset": "12", "svtav1-params": "keyint=12"}),
    "prores_ks": ("mov", {}),
    "mjpeg": ("avi", {}),
}
PIX_FMTS = {"prores_ks": "yuv422p10le", "mjpeg": "yuvj420p"}


@pytest.mark.parametrize("codec", CODECS)
def test_damage_inside_packets_never_changes_the_number_of_frames(
    tmp_path: Path, write_clip: Make, moving: Make, codec: str
) -> None:
    suffix, options = CODECS[codec]
    pix_fmt = PIX_FMTS.get(codec, "yuv420p")
    path = write_clip(
        tmp_path / f"a.{suffix}",
        moving(24, 64, 96),
        codec=codec,
        options={**options},
        pix_fmt=pix_fmt,
    )
    good, places = path.read_bytes(), packets_of(path)
    rng = np.random.default_rng(0)
    for _ in range(12):
        data = bytearray(good)
        for index in rng.choice(len(places), rng.integers(1, 4), replace=False):
            place, size = places[index]
            begin = 12  # behind the block header of Matroska
            kept = min(size, begin + int(rng.integers(0, max(1, size - begin))))
            data[place + kept : place + size] = rng.bytes(size - kept)
        path.write_bytes(data)
        assert len(read(path)[1]) == 24


def test_two_pictures_that_a_damaged_header_made_one_are_two(
    tmp_path: Path, write_clip: Make, moving: Make
) -> None:
    path = write_clip(
        tmp_path / "a.ts", moving(24), codec="mpeg2video", options={"g": "12", "bf": "2"}
    )
    good = [frame.pts for frame in read(path)[1]]
    data = bytearray(path.read_bytes())
    headers = [at for at in range(len(data) - 8) if data[at : at + 4] == b"\0\0\1\xb5"]
    pictures = [at for at in headers if data[at + 4] >> 4 == 8]  # H.262, table 6-2
    assert len(pictures) == 24
    # A frame becomes a top field, and the parser waits for the other one (section 6.3.10).
    structure = pictures[13] + 6
    data[structure] = data[structure] & ~3 | 1
    path.write_bytes(data)
    reader, frames = read(path)
    assert [frame.pts for frame in frames] == good
    assert "1 damaged packet; 0 frames" in " ".join(reader.notes())


@pytest.mark.parametrize("seed", range(6))
def test_random_damage_never_stops_the_reader(
    tmp_path: Path, write_clip: Make, moving: Make, seed: int
) -> None:
    path = write_clip(tmp_path / "a.mp4", moving(24), sound=True, options={"g": "6"})
    rng = np.random.default_rng(seed)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4  # the index behind it says where the packets are
    stop = data.index(b"moov") - 4
    for place in rng.integers(start, stop, 60):
        data[place] ^= 1 << rng.integers(8)
    path.write_bytes(data)
    _, frames = read(path)
    assert len(frames) == 24
    assert all(a.pts < b.pts for a, b in pairwise(frames))


@pytest.mark.parametrize(("suffix", "options"), [("mp4", {"movflags": "faststart"}), ("mkv", {})])
def test_a_file_cut_in_the_middle_gives_what_is_there_and_says_so(
    tmp_path: Path, write_clip: Make, moving: Make, suffix: str, options: dict[str, str]
) -> None:
    whole = write_clip(tmp_path / f"whole.{suffix}", moving(100), sound=suffix == "mkv")
    with (
        av.open(str(whole)) as source,
        av.open(str(tmp_path / f"front.{suffix}"), "w", container_options=options) as front,
    ):
        streams = {s.index: front.add_stream_from_template(s, opaque=True) for s in source.streams}
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                front.mux(packet)
    data = (tmp_path / f"front.{suffix}").read_bytes()
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(data[: len(data) * 6 // 10])
    reader, frames = read(path)
    assert 20 < len(frames) < 95
    expected = [frame.pts for frame in read(whole)[1]]
    # B-frames lie behind the frame that follows them: of the last few some are missing.
    assert [frame.pts for frame in frames][:-4] == expected[: len(frames) - 4]
    assert {frame.pts for frame in frames} <= set(expected)
    assert "truncated" in " ".join(reader.notes())
