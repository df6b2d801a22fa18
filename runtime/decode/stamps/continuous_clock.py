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

from vsrc.runtime.pyav_versions import time_base

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream

WITH_OWN_CLOCK = frozenset(("mpeg", "mpegts"))
"""Containers with an arbitrary start time, such as the time of day of a recording."""

_JOINED = frozenset(("flv", "live_flv", "matroska,webm", "rm"))
"""Other containers of which FFmpeg reads on into a second file that was joined to the first."""

_FORWARD = Fraction(10)
_BACKWARD = Fraction(1, 10)
"""How far a clock may step forward and backward without being another one, seconds: FFmpeg's limits
(`-dts_delta_threshold`)."""

_ENDLESS = Fraction(1 << 64)
_BACKWARD_WITH_GAPS = Fraction(1, 2)
"""The same for containers without a clock of their own; FFmpeg makes some decoding times of theirs
from the order of the pictures."""

_WRAP = Fraction(1 << 33, 90_000)
"""Time after which the clock begins at 0 again, seconds."""

_OVERLAP = Fraction(2)
"""How long packets of the clock before may follow a restart, seconds."""

_TAIL = Fraction(1)
"""By how much the audio of a recording may begin before its pictures, or outlast them, seconds."""

_LONGEST_DURATION = Fraction(1)
"""Most that is assumed of a packet without a duration, seconds."""

_RECENT = 4
_CONFIRMED = 3
"""Packets after which a restart is no damaged time stamp."""

_AHEAD_VIDEO, _AHEAD_ALL, _AHEAD_BYTES = 17, 400, 64 << 20
"""Most packets of the video and of all tracks that are read ahead, and their size, bytes; H.264 and
HEVC delay 16 pictures at most."""


@dataclass
class _Offset:
    """Seconds that are added to one clock.

    Attributes:
        value: The offset, seconds.
        begin: Continuous time of the first picture, seconds.
        packets: Number of packets that got it.
    """

    value: Fraction
    begin: Fraction = Fraction(0)
    packets: int = 0


@dataclass
class _Track:
    """The last packet of a track, in continuous time, seconds.

    Attributes:
        last: Its decoding time.
        written: The same, or a tick above that of the packet before where recordings overlap.
        following: The decoding time at which the next packet is expected.
        is_video: Whether it is the video.
        end: End of the display of all packets so far.
        delay: Time between decoding and display of the first picture.
        is_partial: Whether some packets have a time of decoding only.
    """

    last: Fraction
    written: Fraction
    following: Fraction
    is_video: bool
    end: Fraction
    delay: Fraction
    is_partial: bool


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
        self._forward = _ENDLESS if has_gaps else _FORWARD
        self._backward = _BACKWARD_WITH_GAPS if has_gaps else _BACKWARD
        self.joints: list[Fraction] = []
        self.is_joint = False
        self._used: dict[int, _Offset] = {}
        self._offsets: deque[_Offset] = deque([_Offset(Fraction(0))], maxlen=_RECENT)
        self._restarts: list[_Offset] = []
        self._tracks: dict[int, _Track] = {}

    @property
    def restarts(self) -> list[Fraction]:
        """Return the continuous times at which the clock restarted, seconds."""
        confirmed: list[_Offset] = []
        for offset in self._restarts:
            if offset.packets < _CONFIRMED:
                continue
            before = confirmed[-1] if confirmed else None
            if before is None or not _is_same_restart(before, offset):
                confirmed.append(offset)
        return [offset.begin for offset in confirmed]

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
        time = _raw_time(packet)
        if time is None:
            return self._offsets[-1]
        if not _has_clock(packet):
            return self._nearest(time)
        track, newest = self._tracks.get(packet.stream.index), self._offsets[-1]
        if track is None:
            return newest if self._may_begin(time + newest.value) else None
        if newest.packets >= _CONFIRMED and track.last >= newest.begin + _OVERLAP:
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
        now = max(track.last for track in self._tracks.values())
        return abs(time - now) <= self._forward

    def _earliest(self, offset: _Offset, current: _Offset, track: _Track) -> Fraction:
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
        pictures = _NewPictures(packet, video, self._offsets[-1].value)
        size = sum(map(pictures.add, ahead))
        while not pictures.is_complete and len(ahead) < _AHEAD_ALL and size < _AHEAD_BYTES:
            following = next(source, None)
            if following is None:
                break
            ahead.append(following)
            size += pictures.add(following)
        begin, stamp = pictures.end, pictures.earliest
        if begin is None or stamp is None:
            begin, stamp = self._tracks[packet.stream.index].following, _raw_time(packet)
        assert stamp is not None
        new = _Offset(begin - stamp, begin)
        self._offsets.append(new)
        self._restarts.append(new)
        return new

    def _nearest(self, time: Fraction) -> _Offset:
        """Return the offset with which a packet of a sparse track is nearest to the others."""
        if not self._tracks:
            return self._offsets[-1]
        now = max(track.last for track in self._tracks.values())
        return min(self._offsets, key=lambda one: abs(time + one.value - now))

    def _add(self, packet: Packet[Stream], offset: _Offset) -> None:
        time, self.is_joint = _raw_time(packet), False
        if time is None:
            return
        offset.packets += 1
        ticks = round(offset.value / time_base(packet))
        if ticks and packet.pts is not None:
            packet.pts += ticks
        if ticks and packet.dts is not None:
            packet.dts += ticks
        if _has_clock(packet):
            track = self._tracks.get(packet.stream.index)
            self._note_joint(packet, track, offset)
            self._record(packet, track)

    def _note_joint(self, packet: Packet[Stream], track: _Track | None, offset: _Offset) -> None:
        before = self._used.get(packet.stream.index)
        self._used[packet.stream.index] = offset
        time = _raw_time(packet)
        if track is not None and time is not None and before is not None and before is not offset:
            self.joints += [track.last, time]
            self.is_joint = abs(abs(offset.value - before.value) - _WRAP) > _BACKWARD

    def _record(self, packet: Packet[Stream], track: _Track | None) -> None:
        state = _after(packet, track)
        is_sorted = state.is_video and self._has_gaps  # by display; decoding times are guesses
        may_overlap = self._restarts or not (state.is_video or self._has_gaps)
        if track is not None and may_overlap and state.last <= track.written and not is_sorted:
            # The end of one recording overlaps the beginning of the next in this track.
            unit = time_base(packet)
            dts = round(track.written / unit) + 1
            if packet.dts is not None:
                packet.dts = dts
            if packet.pts is not None:
                packet.pts = max(packet.pts, dts) if state.is_video else dts
            state = replace(state, written=dts * unit)
        self._tracks[packet.stream.index] = state


def _raw_time(packet: Packet[Stream]) -> Fraction | None:
    """Return when a packet is decoded, by the clock of the file, seconds."""
    stamp = packet.dts if packet.dts is not None else packet.pts
    return None if stamp is None else stamp * time_base(packet)


def _has_clock(packet: Packet[Stream]) -> bool:
    """Whether a packet follows the one before it in time, as those of subtitles need not."""
    kind = packet.stream.type
    return kind == "audio" or (kind == "video" and packet.dts is not None)


class _NewPictures:
    """The first packets of the video of a new clock.

    Attributes:
        earliest: Least PTS of them by their own clock, or DTS if no PTS is known, seconds.
        end: Continuous end of the display of all pictures before them, seconds.
        is_complete: Whether the earliest must be known.

    Args:
        trigger: First packet of the new clock, of any track.
        video: Last packet of the video before that; None if there is none.
        offset: Offset of the clock before, seconds.
    """

    def __init__(self, trigger: Packet[Stream], video: _Track | None, offset: Fraction) -> None:
        begin = _raw_time(trigger)
        assert begin is not None
        self._begin, self._before, self._offset = begin, video, offset
        self._last = begin - _OVERLAP
        self._count = 0
        self._has_pts = False
        self.earliest: Fraction | None = None
        self.is_complete = False
        self.add(trigger)

    @property
    def end(self) -> Fraction | None:
        return self._before.end if self._before else None

    def add(self, packet: Packet[Stream]) -> int:
        """Take the next packet of the file; return its size, bytes."""
        if packet.stream.type == "video" and packet.dts is not None and not self.is_complete:
            time = packet.dts * time_base(packet)
            if self._before is not None and self._is_of_clock_before(time, self._before):
                self._before = _after(packet, self._before, self._offset)
            elif self._begin - _OVERLAP <= time <= self._begin + _FORWARD:
                self._add_picture(packet, time)
        return packet.size

    def _is_of_clock_before(self, time: Fraction, track: _Track) -> bool:
        is_next = abs(time + self._offset - track.following) <= _BACKWARD
        return is_next and not self._count

    def _add_picture(self, packet: Packet[Stream], time: Fraction) -> None:
        if time <= self._last:  # the clock restarts once more
            self.is_complete = True
            return
        self._last = time
        if packet.pts is not None:
            shown = packet.pts * time_base(packet)
            earliest = self.earliest if self._has_pts and self.earliest is not None else shown
            self.earliest, self._has_pts = min(earliest, shown), True
        elif self.earliest is None:
            self.earliest = time
        self._count += 1
        self.is_complete = self._count >= _AHEAD_VIDEO


def _after(packet: Packet[Stream], track: _Track | None, offset: Fraction = Fraction(0)) -> _Track:
    """Return the state of a track behind a packet whose stamps lack an offset, seconds."""
    unit = time_base(packet)
    dts = packet.dts if packet.dts is not None else packet.pts
    assert dts is not None
    duration = (packet.duration or 0) * unit
    if not duration and track is not None:  # as long as the packet before
        duration = min(max(Fraction(0), dts * unit + offset - track.last), _LONGEST_DURATION)
    delay = (packet.pts - dts) * unit if packet.pts is not None else Fraction(0)
    is_partial = packet.pts is None or (track is not None and track.is_partial)
    if track is not None:
        delay = track.delay
    end = (dts if packet.pts is None else packet.pts) * unit + duration
    if is_partial:  # the last picture may be one of those whose times are not known
        end = max(end, dts * unit + delay + duration)
    return _Track(
        last=dts * unit + offset,
        written=dts * unit + offset,
        following=dts * unit + duration + offset,
        is_video=packet.stream.type == "video",
        end=end + offset if track is None else max(track.end, end + offset),
        delay=delay,
        is_partial=is_partial,
    )


def _is_same_restart(before: _Offset, offset: _Offset) -> bool:
    """Whether two tracks made an offset each for one restart."""
    is_near = offset.begin - before.begin < _BACKWARD
    return is_near or abs(offset.value - before.value) < _BACKWARD
