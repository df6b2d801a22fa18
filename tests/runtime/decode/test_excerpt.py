"""Which frames an excerpt wants, and which go along."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, cast

import numpy as np
import pytest

from vsrc.runtime.decode.clips.excerpt import excerpt
from vsrc.runtime.decode.frame import SourceFrame

BASE = Fraction(1, 10)


def frames_of(count: int) -> list[SourceFrame]:
    picture = np.zeros((1, 1, 3), np.uint8)
    packets = [cast("Any", (f"packet {i}",)) for i in range(count)]
    return [SourceFrame(picture, pts=i, duration=1, packets=packets[i]) for i in range(count)]


@pytest.mark.parametrize(("first", "count"), [(0, 3), (1, 1), (5, 4), (28, None), (29, 9)])
@pytest.mark.parametrize("context", [0, 1, 3])
def test_wanted_frames_have_their_neighbours(first: int, count: int | None, context: int) -> None:
    stop = 30 if count is None else min(30, first + count)
    found = list(
        excerpt(frames_of(30), first_pts=first, count=count, context=context, time_base=BASE)
    )
    assert [frame.pts for frame in found if frame.wanted] == list(range(first, stop))
    assert [frame.pts for frame in found] == list(range(found[0].pts, found[-1].pts + 1))
    assert found[0].pts == max(0, first - context)
    assert found[-1].pts >= min(29, stop - 1 + context)


def test_packets_of_skipped_frames_ride_on_the_first_wanted_one() -> None:
    found = list(excerpt(frames_of(9), first_pts=4, count=None, context=2, time_base=BASE))
    riding = [list(map(str, frame.packets)) for frame in found[:3]]
    assert riding == [[], [], [f"packet {i}" for i in range(5)]]


def test_it_reads_a_second_further_for_late_packets_and_no_more() -> None:
    found = list(excerpt(frames_of(99), first_pts=2, count=3, context=1, time_base=BASE))
    assert [frame.pts for frame in found if frame.wanted] == [2, 3, 4]
    assert found[-1].pts == 15


def test_nothing_is_wanted_behind_the_end() -> None:
    found = list(excerpt(frames_of(5), first_pts=9, count=None, context=1, time_base=BASE))
    assert not any(frame.wanted for frame in found)
