"""Time stamps of the packets of a part."""

from __future__ import annotations

import pytest

from vsrc.runtime.encode.segment_encoder import possible_dts
from vsrc.runtime.encode.segments import StoredPacket


def part(*stamps: tuple[int, int]) -> list[StoredPacket]:
    """Packets with these PTS and DTS."""
    return [StoredPacket(pts, dts, 1, at == 0, b"") for at, (pts, dts) in enumerate(stamps)]


@pytest.mark.parametrize(
    "stamps",
    [
        (),
        ((7, 7),),
        ((0, 0), (1, 1)),
        ((0, -2), (4, -1), (2, 0), (1, 1), (3, 2)),  # two B frames, one of which others look at
        ((10, -90), (200, 10), (100, 100)),  # of uneven length
    ],
)
def test_a_part_that_can_be_is_left_alone(stamps: tuple[tuple[int, int], ...]) -> None:
    assert possible_dts(part(*stamps)) == part(*stamps)


@pytest.mark.parametrize("nonsense", [3925342532942021192, -3925342532942021192, 9])
def test_nonsense_becomes_the_least_delay(nonsense: int) -> None:
    assert possible_dts(part((0, nonsense), (1, nonsense + 1))) == part((0, 0), (1, 1))
    reordered = part((0, nonsense), (4, nonsense), (2, nonsense), (1, nonsense), (3, nonsense))
    expected = part((0, -2), (4, -1), (2, 0), (1, 1), (3, 2))
    assert possible_dts(reordered) == expected
