"""Windows of networks that double the frame rate, against hand-worked lists."""

from __future__ import annotations

import numpy as np
import pytest

from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.windows.doubling import iter_doubled_windows


def frames_of(pts: list[int], cuts: tuple[int, ...] = ()) -> list[SourceFrame]:
    return [
        SourceFrame(
            np.full((1, 1, 3), index, np.uint8), pts=stamp, duration=7, starts_shot=index in cuts
        )
        for index, stamp in enumerate(pts)
    ]


def shown(frames: list[SourceFrame], size: int) -> list[tuple[int, int, float]]:
    """PTS, duration, and which moment of the video is shown: 2.5 lies between frames 2 and 3."""
    found = []
    for window in iter_doubled_windows(frames, size=size):
        ids = window.lr[:, 0, 0, 0]
        assert len(ids) == size
        for slot in window.slots:
            left, right = ids[slot.index // 2], ids[-(-slot.index // 2)]
            found.append((slot.pts, slot.duration, (int(left) + int(right)) / 2))
    return found


@pytest.mark.parametrize("size", [2, 3, 4, 5])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 20])
def test_every_frame_and_every_gap_is_shown_once(count: int, size: int) -> None:
    found = shown(frames_of([10 * i for i in range(count)]), size)
    assert [moment for *_, moment in found] == [i / 2 for i in range(2 * count - 1)]
    assert [pts for pts, *_ in found] == [10 * i for i in range(2 * count - 1)]
    assert [duration for _, duration, _ in found] == [10] * (2 * count - 2) + [7]


def test_the_middle_of_uneven_frames_is_exact() -> None:
    found = shown(frames_of([0, 1, 4, 9]), 3)
    assert [pts for pts, *_ in found] == [0, 1, 2, 5, 8, 13, 18]
    assert [duration for _, duration, _ in found] == [1, 1, 3, 3, 5, 5, 7]


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_no_picture_mixes_two_shots(cut: int) -> None:
    found = shown(frames_of([0, 10, 20, 30, 40], cuts=(cut,)), 3)
    moments = [moment for *_, moment in found]
    expected = [i / 2 for i in range(9)]
    expected[2 * cut - 1] = cut - 1.0  # the gap at the cut repeats the last frame of the shot
    assert moments == expected
    assert [pts for pts, *_ in found] == [0, 10, 20, 30, 40, 50, 60, 70, 80]


def test_a_long_shot_ends_with_a_window_of_its_own_frames() -> None:
    last = list(iter_doubled_windows(frames_of([0, 1, 2, 3, 4, 5]), size=4))[-1]
    assert last.lr[:, 0, 0, 0].tolist() == [2, 3, 4, 5]
