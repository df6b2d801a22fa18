"""Time stamps of frames in the order of the decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsrc.runtime.decode.stamps.display_order import DisplayOrder, TimedFrame
from vsrc.runtime.decode.stamps.lost_frames import LostFrames


@dataclass
class FakeFrame:
    pts: int | None
    width: int = 64
    height: int = 48


def timed(
    shown: list[int | None], *, sent: list[int] | None = None, step: int = 2
) -> list[TimedFrame]:
    """The frames of a decoder that was sent all packets before it returned the first frame."""
    ledger = LostFrames(one_per_packet=True)
    for at, pts in enumerate(
        sent if sent is not None else [one for one in shown if one is not None]
    ):
        ledger.sent(pts, is_key=at == 0)
    frames: Any = [FakeFrame(pts) for pts in shown]
    return list(DisplayOrder(ledger, step=step, start=0).iter_timed(frames))


def test_times_of_decoding_become_those_of_showing() -> None:
    frames = timed([2, 6, 8, 4, 12, 14, 10])
    assert [one.pts for one in frames] == [2, 4, 6, 8, 10, 12, 14]
    assert [one.frame.pts for one in frames] == [2, 6, 8, 4, 12, 14, 10]
    assert not any(one.lost for one in frames)


@given(st.permutations(range(12)), st.sets(st.integers(1, 11)))
def test_every_frame_is_kept_and_only_lost_ones_are_named(order: list[int], lost: set[int]) -> None:
    shown: list[int | None] = [pts for pts in order if pts not in lost]
    frames = timed(shown, sent=list(range(12)))
    assert [one.frame.pts for one in frames] == shown
    stamps = [one.pts for one in frames]
    assert stamps == sorted(pts for pts in shown if pts is not None)
    named = {pts for one in frames for pts in one.lost}
    assert named == {pts for pts in lost if pts < stamps[-1]}


@pytest.mark.parametrize(
    ("shown", "stamps"),
    [
        ([0, 2, 2, 4], [0, 2, 3, 4]),  # halfway to the next
        ([0, 2, 4, 4], [0, 2, 4, 6]),  # no next: a usual step
        ([4, 4, 4, 40], [4, 6, 23, 40]),
        ([None, None, None], [0, 2, 4]),
        ([6, None, 10], [6, 8, 10]),
    ],
)
def test_stamps_always_increase(shown: list[int | None], stamps: list[int]) -> None:
    assert [one.pts for one in timed(shown)] == stamps


def test_a_frame_that_comes_long_after_its_repeat_has_no_place() -> None:
    late = [0, *range(2, 60), 1, *range(60, 64)]
    frames = timed([*late], sent=list(range(64)))
    assert frames[1].lost == (1,)
    assert [one.pts for one in frames] == [0, *range(2, 64)]
