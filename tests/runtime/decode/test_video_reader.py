"""What comes out of good, odd and broken files."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from support.decoded import read
from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.errors import MediaError

Frames = NDArray[np.uint8]
Make = Callable[..., Any]


def test_lossless_rgb_comes_back_bit_for_bit(
    tmp_path: Path, write_clip: Make, moving: Make
) -> None:
    path = write_clip(tmp_path / "a.mkv", moving(7), codec="ffv1", pix_fmt="bgr0")
    _, frames = read(path)
    np.testing.assert_array_equal(np.stack([frame.rgb for frame in frames]), moving(7))


def test_pts_are_those_of_the_packets_when_the_rate_varies(
    tmp_path: Path, write_clip: Make, moving: Make
) -> None:
    pts = [0, 1, 5, 6, 20, 21, 22, 60]
    path = write_clip(
        tmp_path / "a.mp4", moving(8), pts=pts, time_base=Fraction(1, 30), options={"bf": "2"}
    )
    reader, frames = read(path)
    assert [frame.pts * reader.info.time_base for frame in frames] == [Fraction(p, 30) for p in pts]
    durations = [frame.duration * reader.info.time_base * 30 for frame in frames]
    assert durations[:-1] == [1, 4, 1, 14, 1, 1, 38]


def test_other_tracks_ride_on_the_frames_complete(clip: Path) -> None:
    reader, frames = read(clip)
    with av.open(str(clip)) as container:
        expected = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    assert [bytes(packet) for frame in frames for packet in frame.packets] == expected
    assert [str(track) for track in reader.info.tracks] == ["audio aac"]
    assert len(frames) == 24
    assert reader.notes() == []


def test_info_says_what_the_file_is(tmp_path: Path, write_clip: Make, moving: Make) -> None:
    path = write_clip(
        tmp_path / "a.mp4",
        moving(5),
        aspect=Fraction(16, 11),
        colour=(1, 1, 1, 1),
        rotation=90,
        sound=True,
    )
    info = read(path)[0].info
    assert str(info) == (
        "h264 48x32 (WxH), 25 fps, 5 frames, yuv420p bt709 tv, pixel aspect 16/11, rotated by 90 "
        "degrees, audio aac"
    )


def test_packets_of_theora_without_bytes_are_no_damage(tmp_path: Path, ffmpeg: Make) -> None:
    path = tmp_path / "a.ogv"
    still = "color=s=64x48:r=25:d=1,geq=lum='if(lt(N\\,10)\\,X*4\\,200)':cb=128:cr=128"
    ffmpeg("-f", "lavfi", "-i", still, "-c:v", "libtheora", "-g", "6", path)
    with av.open(str(path)) as container:
        sizes = [(each.pts, each.size) for each in container.demux(video=0) if each.pts is not None]
    assert 0 in dict(sizes).values()  # the last picture stays
    reader, frames = read(path)
    assert [frame.pts for frame in frames] == [pts for pts, size in sizes if size]
    assert reader.notes() == []


# --- streams that tell little ---------------------------------------------------------------------


def test_a_raw_stream_is_stamped_by_its_rate(
    tmp_path: Path, write_clip: Make, moving: Make
) -> None:
    path = write_clip(tmp_path / "a.h264", moving(12), options={"bf": "2"})
    reader, frames = read(path)
    assert len(frames) == 12
    steps = {b.pts - a.pts for a, b in pairwise(frames)}
    assert steps == {round(1 / (25 * reader.info.time_base))}


def test_a_change_of_size_is_scaled_to_the_first_one(
    tmp_path: Path, write_clip: Make, moving: Make
) -> None:
    parts = [
        write_clip(tmp_path / f"{size}.h264", moving(4, *size), options={"bf": "0"})
        for size in ((32, 48), (64, 96))
    ]
    path = tmp_path / "both.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    _, frames = read(path)
    assert [frame.rgb.shape for frame in frames] == [(32, 48, 3)] * 8


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (33, 17)])
def test_odd_sizes_are_read_as_they_are(
    tmp_path: Path, write_clip: Make, moving: Make, size: tuple[int, int]
) -> None:
    path = write_clip(tmp_path / "a.mov", moving(3, *size), codec="png", pix_fmt="rgb24")
    _, frames = read(path)
    np.testing.assert_array_equal(np.stack([frame.rgb for frame in frames]), moving(3, *size))


# --- seeking --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "h264"])
@pytest.mark.parametrize("place", [0, 30, 160, 199])
def test_seeking_lands_before_the_place_with_the_right_frames(
    tmp_path: Path, write_clip: Make, moving: Make, suffix: str, place: int
) -> None:
    path = write_clip(tmp_path / f"a.{suffix}", moving(200, 16, 16), options={"g": "10"})
    whole = read(path)[1]
    reader = VideoReader(path)
    reader.seek(whole[place].pts)
    rest = list(reader)
    reader.close()
    by_pts = {frame.pts: frame for frame in whole}
    needed = [frame.pts for frame in whole[max(0, place - 20) :]]
    assert [frame.pts for frame in rest][-len(needed) :] == needed
    for frame in rest:
        np.testing.assert_array_equal(frame.rgb, by_pts[frame.pts].rgb)
    if suffix != "h264" and place > 100:
        assert len(rest) < 190  # it did not decode everything


def test_an_mp4_on_stdin_whose_index_is_last_is_told_what_can_be_piped(
    tmp_path: Path, ffmpeg: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sound is more than what is kept of a pipe, so the pictures cannot be gone back to."""
    source = tmp_path / "a.mov"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:d=1", "-f", "lavfi", "-i", "anoisesrc=d=30",
           "-c:a", "pcm_s16le", source)  # fmt: skip
    with subprocess.Popen(["cat", str(source)], stdout=subprocess.PIPE) as pipe:
        assert pipe.stdout is not None
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(pipe.stdout))
        with pytest.raises(MediaError, match=r"y4m, Matroska and MPEG-TS can be piped, and MP4"):
            VideoReader(Path("-"))
