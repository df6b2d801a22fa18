"""Windows against a slow version that indexes a list."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.windows.sliding import iter_windows


def frames_of(count: int, cuts: tuple[int, ...] = ()) -> list[SourceFrame]:
    return [
        SourceFrame(np.full((2, 3, 3), index, np.uint8), pts=10 * index, starts_shot=index in cuts)
        for index in range(count)
    ]


def slow_windows(frames: list[SourceFrame], radius: int) -> list[NDArray[np.uint8]]:
    """Indices clamped to the shot, one by one."""
    starts = [0, *(i for i, frame in enumerate(frames) if frame.starts_shot and i), len(frames)]
    windows = []
    for first, stop in pairwise(starts):
        for centre in range(first, stop):
            around = range(centre - radius, centre + radius + 1)
            shot = [frames[min(max(i, first), stop - 1)].rgb for i in around]
            windows.append(np.stack(shot))
    return windows


@pytest.mark.parametrize("radius", [0, 1, 2, 3, 7])
@pytest.mark.parametrize(
    ("count", "cuts"),
    [(1, ()), (2, ()), (5, ()), (60, ()), (6, (1,)), (6, (5,)), (9, (3, 4)), (50, (0, 20, 21, 40))],
)
def test_windows_are_those_of_the_slow_version(
    count: int, cuts: tuple[int, ...], radius: int
) -> None:
    frames = frames_of(count, cuts)
    seen = [(window.lr.copy(), window.slots) for window in iter_windows(frames, radius=radius)]
    expected = slow_windows(frames, radius)
    assert len(seen) == len(expected) == count
    for (lr, slots), slow, frame in zip(seen, expected, frames, strict=True):
        np.testing.assert_array_equal(lr, slow)
        assert [(slot.index, slot.pts) for slot in slots] == [(0, frame.pts)]


def test_a_window_is_a_contiguous_view() -> None:
    bases = set()
    for window in iter_windows(frames_of(100), radius=2):
        assert window.lr.flags.c_contiguous
        assert window.lr.base is not None
        bases.add(id(window.lr.base))
    assert len(bases) == 1  # one array for the whole video, however long it is


def test_no_frames_give_no_windows() -> None:
    assert list(iter_windows([], radius=2)) == []


def test_a_window_comes_as_soon_as_its_last_frame_is_there() -> None:
    taken = []

    def watched() -> object:
        for frame in frames_of(9):
            taken.append(frame)
            yield frame

    windows = iter_windows(watched(), radius=2)  # type: ignore[arg-type]
    next(windows)
    assert len(taken) == 3
