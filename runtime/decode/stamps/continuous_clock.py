"""Make the time stamps of a file continuous.

The 33-bit clock of transport and program streams need not run through: it restarts where two
recordings were joined (`cat a.ts b.ts`) and between the parts of a DVD, and it wraps after 26.5
hours. Other containers have no such clock, but some of their files were joined, too: Flash video
of a broadcast that was interrupted, and Matroska and RealMedia by `cat`. There a clock may only
step back: what lies far ahead is a gap.

    clock of the file      1.4 ... 3.4 | 1.4 ... 3.4        clock of the second recording
    offset that is added   0           | + 2.0
    continuous             1.4 ... 3.4 | 3.4 ... 5.4

All tracks get the same offset, with which the pictures run on. It is known only after the first
packets of the new clock: they come in the order of decoding, so that the earliest picture need not
be the first. The packets of the tracks are interleaved, and some of the old clock follow the first
of the new one: for a while, each packet gets the offset with which it follows its predecessor best.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from vsrc.runtime.decode.stamps.clock_restart import (
    BACKWARD,
    FORWARD,
    OVERLAP,
    NewPictures,
    find_restart_behind,
    iter_ahead,
)
from vsrc.runtime.decode.stamps.track_times import TrackTimes, after, has_clock, raw_time
from vsrc.runtime.pyav_versions import time_base

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream

WITH_OWN_CLOCK = frozenset(("mpeg", "mpegts"))
"""Containers with an arbitrary start time, such as the time of day of a recording."""

_JOINED = frozenset(("flv", "live_flv", "matroska,webm", "rm"))
"""Other containers of which FFmpeg reads on into a second file that was joined to the first."""

_ENDLESS = Fraction(1 << 64)
_BACKWARD_WITH_GAPS = Fraction(1, 2)
"""The same for containers without a clock of their own; FFmpeg makes some decoding times of theirs
from the order of the pictures."""

_WRAP = Fraction(1 << 33, 90_000)
"""Time after which the clock begins at 0 again, seconds."""

_TAIL = Fraction(1)
"""By how much the audio of a recording may begin before its pictures, or outlast them, seconds."""

_NEAR = Fraction(1, 2)
"""How far from the packets of the other tracks a track may begin on the same clock, seconds; where
it is farther, what follows tells."""

_RECENT = 4
_CONFIRMED = 3
"""Packets after which a restart is no damaged time stamp."""


@dataclass
class _Offset:
    """Seconds that are added to one clock.

    Attributes:
        value: The offset, seconds.
        begin: Continuous time of the first picture, seconds.
        jump: By how much the clock is ahead of the one before, seconds; 0 if it is not, or hardly.
        packets: Number of packets that got it.
    """

    value: Fraction
    begin: Fraction = Fraction(0)
    jump: Fraction = Fraction(0)
    packets: int = 0


def open_clock(container: str) -> ContinuousClock | None:
    """Return a clock for files of a container, by FFmpeg's name of it; None if all run through."""
    if container in WITH_OWN_CLOCK:
        return ContinuousClock()
    return ContinuousClock(has_gaps=True) if container in _JOINED else None


def on_one_clock(
    packets: Iterator[Packet[Stream]], clock: ContinuousClock | None
) -> Iterator[tuple[Packet[Stream], bool]]:
    """Yield the packets of a file with the offset added, and whether the clock restarts there."""
    return clock.shifted(packets) if clock else ((packet, False) for packet in packets)


class ContinuousClock:
    """Shifts the packets of one file, in the order in which they are read.

    Attributes:
        joints: Continuous times of the last and the first packet of each track where recordings
            were joined, seconds.
        is_joint: Whether the last packet is the first of its track on another clock, which is not
            the same one after it wrapped.

    Args:
        has_gaps: Whether any time may pass between two packets.
    """

    def __init__(self, *, has_gaps: bool = False) -> None:
        self._has_gaps = has_gaps
        self._forward = _ENDLESS if has_gaps else FORWARD
        self._backward = _BACKWARD_WITH_GAPS if has_gaps else BACKWARD
        self.joints: list[Fraction] = []
        self.is_joint = False
        self._used: dict[int, _Offset] = {}
        self._offsets: deque[_Offset] = deque([_Offset(Fraction(0))], maxlen=_RECENT)
        self._restarts: list[_Offset] = []
        self._tracks: dict[int, TrackTimes] = {}

    @property
    def restarts(self) -> list[Fraction]:
        """Return the continuous times at which the clock restarted, seconds."""
        return [offset.begin for offset in self._confirmed()]

    @property
    def jumps(self) -> list[tuple[Fraction, Fraction]]:
        """Return those of the restarts that are jumps ahead, and by how much, seconds."""
        return [(offset.begin, offset.jump) for offset in self._confirmed() if offset.jump]

    def _confirmed(self) -> list[_Offset]:
        confirmed: list[_Offset] = []
        for offset in self._restarts:
            if offset.packets < _CONFIRMED:
                continue
            before = confirmed[-1] if confirmed else None
            if before is None or not _is_same_restart(before, offset):
                confirmed.append(offset)
        return confirmed

    def note_join(self) -> None:
        """Note that a recording ends here, although the clock runs on."""
        self.joints += [track.last for track in self._tracks.values()]

    def shifted(self, packets: Iterable[Packet[Stream]]) -> Iterator[tuple[Packet[Stream], bool]]:
        """Yield the packets with the offset added, and whether the clock restarts with each.

        Args:
            packets: Packets of all tracks, in the order of the file.
        """
        ahead: deque[Packet[Stream]] = deque()
        source = map(self._without_foreign_pts, packets)
        while (packet := ahead.popleft() if ahead else next(source, None)) is not None:
            offset = self._find_offset(packet)
            if offset is not None and self._begins_at_restart(packet, offset, source, ahead):
                offset = None
            is_restart = offset is None
            if offset is None:
                offset = self._restart(packet, source, ahead)
            self._add(packet, offset)
            yield packet, is_restart

    def _without_foreign_pts(self, packet: Packet[Stream]) -> Packet[Stream]:
        """Remove a PTS that FFmpeg took from the packet after a restart."""
        pts, dts = packet.pts, packet.dts
        if pts is not None and dts is not None and (pts - dts) * time_base(packet) > self._forward:
            packet.pts = None
        return packet

    def _find_offset(self, packet: Packet[Stream]) -> _Offset | None:
        """Return the offset of the clock that a packet belongs to; None if that is a new one."""
        time = raw_time(packet)
        if time is None:
            return self._offsets[-1]
        if not has_clock(packet):
            return self._nearest(time)
        track, newest = self._tracks.get(packet.stream.index), self._offsets[-1]
        if track is None:
            return newest if self._may_begin(time + newest.value) else None
        if newest.packets >= _CONFIRMED and track.last >= newest.begin + OVERLAP:
            self._offsets = deque([newest], maxlen=_RECENT)
        # Tracks may pause while others run on, as the video of a slide show.
        latest = max(track.following, *(other.last for other in self._tracks.values()))
        limit = latest + self._forward
        current = self._used[packet.stream.index]
        possible = [
            offset
            for offset in self._offsets
            if self._earliest(offset, current, track) <= time + offset.value <= limit
        ]
        return min(possible, key=lambda one: abs(time + one.value - track.following), default=None)

    def _may_begin(self, time: Fraction) -> bool:
        """Whether a track may begin at a continuous time, beside what the others have reached."""
        if self._has_gaps or not self._tracks:  # one track may lie behind the other in the file
            return True
        return abs(time - self._now()) <= self._forward

    def _begins_at_restart(
        self,
        packet: Packet[Stream],
        offset: _Offset,
        source: Iterator[Packet[Stream]],
        ahead: deque[Packet[Stream]],
    ) -> bool:
        """Whether a track begins with a packet, and on the new clock of pictures that follow.

        Some of the clock before may come first: a demuxer returns a picture when the next begins.
        """
        begin = raw_time(packet)
        if begin is None or not self._is_apart(packet, begin + offset.value):
            return False
        restart = find_restart_behind(
            packet, iter_ahead(source, ahead), lambda one: self._find_offset(one) is None
        )
        if restart is None:
            return False
        last, picture = restart
        return abs(picture - last) < abs(last + offset.value - self._now())

    def _is_apart(self, packet: Packet[Stream], time: Fraction) -> bool:
        """Whether a track begins with a packet, and far from the packets of others, seconds."""
        is_first = packet.stream.index not in self._tracks and has_clock(packet)
        is_alone = self._has_gaps or not self._tracks
        return is_first and not is_alone and abs(time - self._now()) > _NEAR

    def _now(self) -> Fraction:
        """Return the latest time of a packet of any track, seconds."""
        return max(track.last for track in self._tracks.values())

    def _earliest(self, offset: _Offset, current: _Offset, track: TrackTimes) -> Fraction:
        """Return when the next packet of a track may come at the earliest, with an offset.

        Args:
            offset: Offset that the packet may have.
            current: Offset of the packet before.
            track: State of the track.
        """
        if offset is current or track.is_video:
            return track.last - self._backward
        if offset.begin > current.begin:  # the pictures of a recording need not come first
            return min(track.last, offset.begin - _TAIL)
        return track.following - self._backward

    def _restart(
        self,
        packet: Packet[Stream],
        source: Iterator[Packet[Stream]],
        ahead: deque[Packet[Stream]],
    ) -> _Offset:
        """Add the offset with which the first picture of a new clock follows the last one.

        Packets are read ahead until the earliest picture of the clock must be among them.
        """
        video = next((track for track in self._tracks.values() if track.is_video), None)
        pictures = NewPictures(packet, video, self._offsets[-1].value)
        for following in iter_ahead(source, ahead):
            pictures.add(following)
            if pictures.is_complete:
                break
        begin, stamp = pictures.end, pictures.earliest
        if begin is None or stamp is None:
            begin, stamp = self._tracks[packet.stream.index].following, raw_time(packet)
        assert stamp is not None
        new = _Offset(begin - stamp, begin, _jump(begin - self._offsets[-1].value, stamp))
        self._offsets.append(new)
        self._restarts.append(new)
        return new

    def _nearest(self, time: Fraction) -> _Offset:
        """Return the offset with which a packet of a sparse track is nearest to the others."""
        if not self._tracks:
            return self._offsets[-1]
        now = self._now()
        return min(self._offsets, key=lambda one: abs(time + one.value - now))

    def _add(self, packet: Packet[Stream], offset: _Offset) -> None:
        time, self.is_joint = raw_time(packet), False
        if time is None:
            return
        offset.packets += 1
        ticks = round(offset.value / time_base(packet))
        if ticks and packet.pts is not None:
            packet.pts += ticks
        if ticks and packet.dts is not None:
            packet.dts += ticks
        if has_clock(packet):
            track = self._tracks.get(packet.stream.index)
            self._note_joint(packet, track, offset)
            self._record(packet, track)

    def _note_joint(
        self, packet: Packet[Stream], track: TrackTimes | None, offset: _Offset
    ) -> None:
        before = self._used.get(packet.stream.index)
        self._used[packet.stream.index] = offset
        time = raw_time(packet)
        if track is not None and time is not None and before is not None and before is not offset:
            self.joints += [track.last, time]
            self.is_joint = abs(abs(offset.value - before.value) - _WRAP) > BACKWARD

    def _record(self, packet: Packet[Stream], track: TrackTimes | None) -> None:
        state = after(packet, track)
        if track is not None and self._overlaps(state, track):
            # The end of one recording overlaps the beginning of the next in this track.
            unit = time_base(packet)
            dts = round(track.written / unit) + 1
            if packet.dts is not None:
                packet.dts = dts
            if packet.pts is not None:
                packet.pts = max(packet.pts, dts) if state.is_video else dts
            state = replace(state, written=dts * unit)
        self._tracks[packet.stream.index] = state

    def _overlaps(self, state: TrackTimes, track: TrackTimes) -> bool:
        """Whether a packet comes no later than the one before, which muxers do not take."""
        if state.is_video and (self._has_gaps or not self._restarts):
            return False  # decoding times of containers with gaps are guesses
        return state.last <= track.written


def _jump(expected: Fraction, stamp: Fraction) -> Fraction:
    """Return by how much a clock is ahead of the one before, seconds; 0 if it is not, or hardly.

    FFmpeg adds the length of the clock's range to stamps far behind the first one.

    Args:
        expected: Time of the first picture by the clock before, seconds.
        stamp: The same by its own clock, seconds.
    """
    jump = stamp - expected
    if expected < _WRAP <= stamp:
        jump -= _WRAP
    return jump if jump > FORWARD else Fraction(0)


def _is_same_restart(before: _Offset, offset: _Offset) -> bool:
    """Whether two tracks made an offset each for one restart."""
    is_near = offset.begin - before.begin < BACKWARD
    return is_near or abs(offset.value - before.value) < BACKWARD
