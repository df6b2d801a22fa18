"""Frames on a pipe: what comes out is what a lossless file would hold, and nothing beside it."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vsrc.runtime.decode.frame import ResultFrame
from vsrc.runtime.decode.sources import find_sources
from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.encode.targets import plan_targets
from vsrc.runtime.encode.y4m_writer import Y4mWriter
from vsrc.runtime.errors import MediaError

Make = Callable[..., Any]


def written(path: Path, *, scale: int = 1) -> tuple[bytes, Y4mWriter]:
    pipe = io.BytesIO()
    reader = VideoReader(path)
    writer = Y4mWriter(pipe, reader.info, scale=scale, time_scale=1)
    for frame in reader:
        rgb = frame.rgb.repeat(scale, 0).repeat(scale, 1)
        writer.write(ResultFrame(rgb, frame.pts, frame.duration))
    writer.finish()
    reader.close()
    return pipe.getvalue(), writer


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "gray"])
@pytest.mark.parametrize("size", [(32, 48), (33, 47)])
def test_the_samples_are_those_of_the_source(
    tmp_path: Path, write_clip: Make, moving: Make, pix_fmt: str, size: tuple[int, int]
) -> None:
    source = write_clip(tmp_path / "a.mkv", moving(3, *size), codec="ffv1", pix_fmt=pix_fmt)
    data, _ = written(source)
    with av.open(io.BytesIO(data), "r") as pipe, av.open(str(source)) as file:
        assert pipe.streams.video[0].average_rate == 25
        pairs = list(zip(pipe.decode(video=0), file.decode(video=0), strict=True))
    assert len(pairs) == 3
    for found, true in pairs:
        assert found.format.name == pix_fmt
        luma = [frame.reformat(format="gray").to_ndarray().astype(int) for frame in (found, true)]
        assert np.abs(luma[0] - luma[1]).max() <= 1  # by way of 8-bit RGB


def test_the_header_says_shape_rate_and_range(
    tmp_path: Path, write_clip: Make, moving: Make
) -> None:
    options = {"aspect": Fraction(4, 3), "colour": (1, 1, 1, 2)}
    source = write_clip(tmp_path / "a.mp4", moving(2), **options)
    data, writer = written(source, scale=2)
    header = data.split(b"\n")[0].decode()
    assert header == "YUV4MPEG2 W96 H64 F25:1 Ip A4:3 C420mpeg2 XCOLORRANGE=FULL"
    assert writer.summary == "y4m yuv420p 96x64 (WxH)"
    assert writer.notes == []


def test_what_a_pipe_cannot_keep_is_said(tmp_path: Path, write_clip: Make, moving: Make) -> None:
    source = write_clip(tmp_path / "a.mp4", moving(4), pts=[0, 1, 2, 9], sound=True)
    _, writer = written(source)
    tracks, times = writer.notes
    assert tracks == "the other tracks are left out: y4m holds frames"
    assert times.startswith("the frame rate varies")


def test_a_reader_that_goes_away_is_one_line(clip: Path) -> None:
    class Closed(io.BytesIO):
        def write(self, _: object, /) -> int:
            raise BrokenPipeError

    info = VideoReader(clip).info
    writer = Y4mWriter(Closed(), info, scale=1, time_scale=1)
    with pytest.raises(MediaError, match="pipe"):
        writer.write(ResultFrame(np.zeros((32, 48, 3), np.uint8), 0))


def test_several_inputs_do_not_fit_one_pipe(clip: Path) -> None:
    with pytest.raises(ValueError, match=r"2 inputs .*pipe"):
        plan_targets(find_sources([clip, "-"]), Path("-"))
    (target,) = plan_targets(find_sources(["-"]), Path("out"))
    assert target.path == Path("out/stdin.mkv")


def test_frames_come_on_stdin_and_go_to_stdout(clip: Path, tiny_package: Path) -> None:
    data, _ = written(clip)
    command = [sys.executable, "-c", "from vsrc.cli import main; main()", "infer", "-"]
    command += ["-m", str(tiny_package), "-o", "-", "--start", "0.4"]
    done = subprocess.run(command, input=data, capture_output=True, check=True)
    with av.open(io.BytesIO(done.stdout), "r") as pipe:
        frames = list(pipe.decode(video=0))
    assert (len(frames), frames[0].width, frames[0].height) == (14, 96, 64)
    assert b"-  14 frames" in done.stderr
    bad = subprocess.run(command, input=b"no video", capture_output=True, check=False)
    assert (bad.returncode, bad.stdout) == (1, b"")
    assert bad.stderr.startswith(b"vsrc: stdin is not a video that FFmpeg can read sequentially")
