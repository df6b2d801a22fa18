"""Windows for networks that also double the frame rate (time_scale 2, STDAN).

A window of T frames gives 2T - 1 output frames: one for each input frame and one for each gap.
Windows step by T - 1 frames, so neighbouring windows share a frame and every gap is inside one:

    T 3      A B C D E | F          | a cut
             A B C                  A  AB  B  BC
                 C D E              C  CD  D  DE  E  E'        E' repeats E in the gap of the cut

N frames give 2N - 1 results. The time_base of the result is half that of the source, so that the
midpoint of two PTS is always an integer.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.windows.sliding import Slot, Window


def iter_doubled_windows(frames: Iterable[SourceFrame], *, size: int) -> Iterator[Window]:
    """Yield windows of `size` frames, with a result for each frame and for the middle of each gap.

    Args:
        frames: Frames in display order; a new shot begins where `starts_shot` is set.
        size: Number of frames of a window, at least 2.
    """
    shot: list[SourceFrame] = []  # the last `size` frames of the shot
    fresh = 0  # how many of them, at the end, have no result yet
    key = -1
    for key, frame in enumerate(frames):
        if shot and frame.starts_shot:
            yield _last_window(shot, fresh, size, key - 1, following=frame)
            shot, fresh = [], 0
        shot = [*shot[-(size - 1) :], frame]
        fresh += 1
        if fresh == size:
            yield _window(shot, size, key, tuple(_pairs(shot, 0)))
            fresh = 1
    if shot:
        yield _last_window(shot, fresh, size, key, following=None)


def _last_window(
    shot: list[SourceFrame], fresh: int, size: int, key: int, *, following: SourceFrame | None
) -> Window:
    first = len(shot) - fresh
    last = shot[-1]
    slots = list(_pairs(shot[first:], first))
    index = 2 * (len(shot) - 1)
    if following is None:
        slots.append(_make_slot(last, index, until=2 * last.pts + last.duration))
    else:
        slots.append(_make_slot(last, index, until=last.pts + following.pts))
        slots.append(_between(last, following, index))
    return _window(shot, size, key, tuple(slots))


def _pairs(frames: list[SourceFrame], first: int) -> Iterator[Slot]:
    """Yield slots for each frame but the last, and for the gap after it."""
    for place, (frame, following) in enumerate(itertools.pairwise(frames), start=first):
        yield _make_slot(frame, 2 * place, until=frame.pts + following.pts)
        yield _between(frame, following, 2 * place + 1)


def _make_slot(frame: SourceFrame, index: int, *, until: int) -> Slot:
    return Slot(
        index=index,
        pts=2 * frame.pts,
        duration=until - 2 * frame.pts,
        packets=frame.packets,
        wanted=frame.wanted,
        starts_shot=frame.starts_shot,
        carrier=frame.carrier,
    )


def _between(frame: SourceFrame, following: SourceFrame, index: int) -> Slot:
    middle = frame.pts + following.pts
    return Slot(
        index=index,
        pts=middle,
        duration=2 * following.pts - middle,
        wanted=frame.wanted and following.wanted,
    )


def _window(shot: list[SourceFrame], size: int, key: int, slots: tuple[Slot, ...]) -> Window:
    """Stack the frames into one array; the last one, whose key is `key`, pads a short shot."""
    repeats = size - len(shot)
    lr = np.stack([frame.rgb for frame in shot + [shot[-1]] * repeats])
    keys = (*range(key + 1 - len(shot), key + 1), *[key] * repeats)
    return Window(lr, slots, keys)
