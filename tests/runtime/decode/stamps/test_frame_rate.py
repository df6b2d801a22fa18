"""The rate of a source, where its header has that of a clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from vsrc.runtime.decode.probe import VideoInfo
from vsrc.runtime.decode.stamps.frame_rate import FrameRate, choose_rate, needs_stamps
from vsrc.runtime.decode.video_reader import VideoReader

Make = Callable[..., Any]

NTSC = Fraction(30000, 1001)
MS = Fraction(1, 1000)


@pytest.mark.parametrize(
    ("average", "guessed", "stamps", "unit", "expected"),
    [
        (60000, 25, [0, 2400, 4800], Fraction(1, 60000), 25),  # raw DV
        (60000, NTSC, [0, 2002, 4004, 6006], Fraction(1, 60000), NTSC),
        (1000, 60, [0, 33, 67, 100, 133, 167, 200], MS, 30),  # Matroska
        (1000, 1000, [0, 42, 83, 125, 167, 208, 250], MS, 24),
        (50, 25, [2, 4, 6, 8, 12, 14], Fraction(1, 50), 25),  # H.264 in AVI, a frame is missing
        (25, 30, [0, 40000, 80000], Fraction(1, 1_200_000), 30),  # raw MPEG-4
        (25, 30, [], MS, 30),  # raw H.264 has no stamps
        (60000, 25, [0], MS, 25),  # one frame
        (1000, 1000, [0, 1, 2, 3, 4], MS, 1000),  # a camera for slow motion
        (1000, 1000, [], MS, 25),
        (None, None, [], MS, 25),
        (1000, 1000, [0, 143, 286, 429], MS, 7),
    ],
)
def test_the_rate_is_what_the_stamps_say(
    average: Fraction | None, guessed: Fraction | None, stamps: Sequence[int], unit: Fraction,
    expected: Fraction,
) -> None:  # fmt: skip
    rates = [None if rate is None else Fraction(rate) for rate in (average, guessed)]
    assert choose_rate(rates[0], rates[1], stamps, unit) == FrameRate(
        Fraction(expected), Fraction(expected)
    )


def test_a_rate_that_varies_is_the_average_and_has_a_finer_grid() -> None:
    stamps = [0, 4, 7, 8, 12, 14, 16, 20, 21]  # of 30 a second, most were left out
    found = choose_rate(Fraction(330, 29), Fraction(30), stamps, Fraction(1, 30))
    assert found == FrameRate(Fraction(330, 29), Fraction(30))


def test_two_values_that_agree_on_a_usual_rate_need_no_stamps() -> None:
    assert not needs_stamps(Fraction(25), Fraction(25))
    assert needs_stamps(Fraction(1000), Fraction(1000))
    assert needs_stamps(Fraction(50), Fraction(25))
    assert needs_stamps(None, Fraction(25))


def info_of(path: Path) -> VideoInfo:
    with closing(VideoReader(path)) as reader:
        return reader.info


@pytest.mark.parametrize(
    ("name", "rate", "frames"),
    [("raw-pal.dv", 25, 3), ("webvtt.mkv", 30, None), ("h264-bframes.avi", 25, 100)],
)
def test_collected_files(cases: Path, name: str, rate: int, frames: int | None) -> None:
    info = info_of(cases / "video" / name)
    assert float(info.rate) == pytest.approx(rate, rel=2e-3)
    assert frames in (None, info.estimated_frames)


def test_frames_that_were_measured_are_not_lost(tmp_path: Path, ffmpeg: Make) -> None:
    clip = tmp_path / "a.dv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=720x480:r=30000/1001:d=0.5", "-pix_fmt", "yuv411p",
           "-frames:v", "14", clip)  # fmt: skip
    with closing(VideoReader(clip)) as reader:
        assert reader.info.rate == NTSC
        assert len({frame.pts for frame in reader}) == 14
