"""The ledger of packets whose frames never came."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsrc.runtime.decode.stamps.lost_frames import LostFrames


@given(
    count=st.integers(2, 30),
    lost=st.sets(st.integers(1, 29)),
    reorder=st.integers(0, 4),
    whole=st.booleans(),
)
def test_every_lost_frame_is_named_once_at_its_place(
    count: int, lost: set[int], reorder: int, whole: bool
) -> None:
    lost = {pts for pts in lost if pts < count}
    ledger = LostFrames(one_per_packet=whole)
    shown: list[int] = []
    came = iter(sorted(set(range(count)) - lost))
    for sent in range(count):
        ledger.sent(sent)
        if sent in lost and not whole:
            ledger.refused()  # without a rule for the codec, only the decoder's word counts
        if sent >= reorder and (pts := next(came, None)) is not None:
            if pts > sent:  # a decoder cannot show what it was not sent
                came = iter([pts, *came])
                continue
            shown += [*ledger.received(pts), pts]
    for pts in came:
        shown += [*ledger.received(pts), pts]
    shown += ledger.rest()
    assert shown == list(range(count))


@pytest.mark.parametrize("whole", [True, False])
def test_frames_before_the_first_are_no_loss_unless_the_decoder_refused_them(whole: bool) -> None:
    ledger = LostFrames(one_per_packet=whole)
    for pts in (0, 1, 2):
        ledger.sent(pts)
    assert ledger.received(2) == []  # an open GOP: 0 and 1 lean on frames before the cut
    ledger = LostFrames(one_per_packet=whole)
    for pts in (0, 1, 2):
        ledger.sent(pts)
    ledger.refused()
    assert ledger.received(2) == [0]


def test_hidden_packets_are_no_loss_where_the_codec_has_them() -> None:
    ledger = LostFrames(one_per_packet=False)
    for pts in range(6):
        ledger.sent(pts)
    assert [ledger.received(pts) for pts in (0, 2, 3, 5)] == [[], [], [], []]
    assert ledger.rest() == []


def test_what_a_first_key_frame_begins_is_lost_if_it_does_not_come() -> None:
    ledger = LostFrames(one_per_packet=True)
    ledger.sent(2, is_key=True)
    for pts in (0, 1, 3, 4):
        ledger.sent(pts)
    assert ledger.received(4) == [2, 3]  # 0 and 1 lean on frames before the cut


def test_a_frame_that_comes_too_late_or_twice_has_no_place() -> None:
    ledger = LostFrames(one_per_packet=True)
    for pts in range(4):
        ledger.sent(pts, is_key=pts == 0)
    assert ledger.received(0) == []
    assert ledger.received(2) == [1]
    assert [ledger.is_surplus(pts) for pts in (2, 1, 1, 3)] == [True, True, False, False]


def test_a_decoder_that_drops_after_damage_owes_every_frame() -> None:
    ledger = LostFrames(one_per_packet=False, one_once_damaged=True)
    for pts in range(6):
        ledger.sent(pts)
    assert [ledger.received(pts) for pts in (0, 2)] == [[], []]  # 1 was left out by the encoder
    ledger.refused()
    assert ledger.received(5) == [3, 4]


def test_a_packet_that_holds_more_than_a_header_owes_a_frame_where_others_may_be_empty() -> None:
    ledger = LostFrames(one_per_packet=False, one_once_damaged=True)
    for pts, size in enumerate((900, 8, 60, 0, 60)):
        ledger.sent(pts, is_key=pts == 0, size=size)
    assert [ledger.received(pts) for pts in (0, 4)] == [[], [2]]
