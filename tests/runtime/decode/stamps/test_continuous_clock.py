"""Packets of transport streams on one clock."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest

from vsrc.runtime.decode.stamps.continuous_clock import ContinuousClock

SECOND = 90000


@dataclass
class FakeStream:
    index: int
    type: str


@dataclass
class FakePacket:
    stream: FakeStream
    pts: int | None
    dts: int | None
    duration: int
    is_keyframe: bool = True
    time_base: Fraction = Fraction(1, SECOND)
    size: int = 100


VIDEO, AUDIO, SUBTITLE = FakeStream(0, "video"), FakeStream(1, "audio"), FakeStream(2, "subtitle")


def track(stream: FakeStream, begin: float, end: float, step: float) -> list[FakePacket]:
    count = round((end - begin) / step)
    times = [round((begin + number * step) * SECOND) for number in range(count)]
    return [FakePacket(stream, time, time, round(step * SECOND)) for time in times]


def shift(packets: list[FakePacket]) -> ContinuousClock:
    """Let the clock change the stamps of the packets."""
    clock = ContinuousClock()
    typed: Any = packets
    shifted: list[Any] = [packet for packet, _ in clock.shifted(typed)]
    assert shifted == packets
    return clock


def seconds(packets: list[FakePacket], stream: FakeStream) -> list[float]:
    return [(packet.pts or 0) / SECOND for packet in packets if packet.stream is stream]


@pytest.mark.parametrize("second", [0.0, 5.0, 9.5, 30.0, 90000.0])
def test_late_sound_of_the_old_clock_stays_in_its_place(second: float) -> None:
    old_video, new_video = track(VIDEO, 10, 14, 0.04), track(VIDEO, second, second + 4, 0.04)
    old_audio, new_audio = track(AUDIO, 10, 14, 0.025), track(AUDIO, second, second + 4, 0.025)
    # The last half second of sound follows the first half second of the new pictures.
    late = [*old_audio[:140], *new_video[:12], *old_audio[140:]]
    packets = [*old_video, *late, *new_audio, *new_video[12:]]
    clock = shift(packets)
    for stream, step in ((VIDEO, 0.04), (AUDIO, 0.025)):
        times = seconds(packets, stream)
        assert times[0] == 10
        assert [round(b - a, 4) for a, b in pairwise(times)] == [step] * (len(times) - 1)
    assert clock.restarts == [14]


def test_where_sound_comes_first_the_pictures_run_on_and_stay_with_it() -> None:
    old = [*track(VIDEO, 0, 4, 0.04), *track(AUDIO, 0, 4.3, 0.025)]
    audio, video = track(AUDIO, 0, 4, 0.025), track(VIDEO, 0, 4, 0.04)
    packets = [*old, *audio[:3], *video[:5], *audio[3:], *video[5:]]
    clock = shift(packets)
    assert seconds(video, VIDEO)[0] == pytest.approx(4)
    assert audio[-1].pts == pytest.approx((video[0].pts or 0) + 3.975 * SECOND, abs=2)
    times = seconds(packets, AUDIO)  # where they overlap, a packet follows at once
    assert all(a < b for a, b in pairwise(times))
    assert len(clock.restarts) == 1


def test_one_damaged_stamp_is_no_restart() -> None:
    packets = track(VIDEO, 0, 4, 0.04)
    packets[30].dts = packets[30].pts = 5000 * SECOND
    expected = [packet.dts for packet in track(VIDEO, 0, 4, 0.04)]
    clock = shift(packets)
    assert [packet.dts for packet in packets] == expected
    assert clock.restarts == []


def test_a_track_that_pauses_keeps_its_times() -> None:
    slides = track(VIDEO, 0, 100, 20)
    audio = track(AUDIO, 0, 100, 0.025)
    packets = sorted([*slides, *audio], key=lambda packet: packet.pts or 0)
    clock = shift(packets)
    assert seconds(packets, VIDEO) == [0, 20, 40, 60, 80]
    assert clock.restarts == []


def test_subtitles_get_the_offset_of_the_pictures_beside_them() -> None:
    line = FakePacket(SUBTITLE, SECOND, None, 0)
    packets = [*track(VIDEO, 10, 14, 0.04), *track(VIDEO, 0, 2, 0.04), line]
    shift(packets)
    assert line.pts == 15 * SECOND
