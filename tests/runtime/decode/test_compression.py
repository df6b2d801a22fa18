"""Bits per pixel are those of the video track, at any place of the file and at any size."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from vsrc.runtime.decode.compression import measure_bits_per_pixel
from vsrc.runtime.decode.video_reader import VideoReader

Make = Callable[..., Any]


def measured(path: Path) -> float:
    with closing(VideoReader(path)) as reader:
        value = measure_bits_per_pixel(path, reader.info)
    assert value is not None
    return value


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
def test_it_is_the_size_of_all_packets_of_the_video(
    tmp_path: Path, ffmpeg: Make, ffprobe: Make, suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=160x96:r=25:d=2", "-f", "lavfi", "-i", "sine=d=2",
           "-c:v", "libx264", "-c:a", "mp2", path)  # fmt: skip
    packets = ffprobe(path, "-select_streams", "v", "-show_packets")["packets"]
    bits = 8 * sum(int(packet["size"]) for packet in packets) / len(packets)
    pixels = 160 * 96
    expected = bits / pixels * (pixels / (640 * 360)) ** 0.25
    assert measured(path) == pytest.approx(expected, rel=1e-6)


def test_of_a_long_file_a_few_stretches_are_counted(
    tmp_path: Path, ffmpeg: Make, ffprobe: Make
) -> None:
    """Its first quarter is black, which takes next to nothing."""
    path = tmp_path / "a.mkv"
    ffmpeg("-f", "lavfi", "-i", "color=s=64x48:r=25:d=20", "-f", "lavfi",
           "-i", "testsrc2=s=64x48:r=25:d=60", "-filter_complex", "concat",
           "-c:v", "libx264", path)  # fmt: skip
    packets = ffprobe(path, "-select_streams", "v", "-show_packets")["packets"]
    bits = 8 * sum(int(packet["size"]) for packet in packets) / len(packets)
    pixels = 64 * 48
    expected = bits / pixels * (pixels / (640 * 360)) ** 0.25
    assert measured(path) == pytest.approx(expected, rel=0.25)
