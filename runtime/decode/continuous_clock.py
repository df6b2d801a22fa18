"""Make the time stamps of transport and program streams continuous.

Their 33-bit clock need not run through: it restarts where two recordings were joined
(`cat a.ts b.ts`) and between the parts of a DVD, and it wraps after 26.5 hours.

    clock of the file      1.4 ... 3.4 | 1.4 ... 3.4        clock of the second recording
    offset that is added   0           | + 2.0
    continuous             1.4 ... 3.4 | 3.4 ... 5.4

All tracks get the same offset. Their packets are interleaved, so that some of the old clock follow
the first of the new one: for a while, each packet gets the offset with which it follows its
predecessor best.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from vsrc.runtime.pyav_versions import time_base

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream

WITH_OWN_CLOCK = frozenset(("mpeg", "mpegts"))
"""Containers with an arbitrary start time, such as the time of day of a recording."""

_FORWARD = Fraction(10)
_BACKWARD = Fraction(1, 10)
"""How far a clock may step forward and backward without being another one, seconds: FFmpeg's limits
(`-dts_delta_threshold`)."""

_OVERLAP = Fraction(2)
"""How long packets of the clock before may follow a restart, seconds."""

_TAIL = Fraction(1, 2)
"""By how much the audio of a recording may outlast its pictures, seconds."""

_RECENT = 4
_CONFIRMED = 3
"""Packets after which a restart is no damaged time stamp."""


@dataclass
class _Offset:
    """Seconds that are added to one clock.

    Attributes:
        value: The offset, seconds.
        begin: Continuous time of the first packet, seconds.
        packets: Number of packets that got it.
        is_open: Whether the first key frame of the video may still correct it.
    """

    value: Fraction
    begin: Fraction = Fraction(0)
    packets: int = 0
    is_open: bool = False


@dataclass
class _Track:
    """The last packet of a track, in continuous time, seconds.

    Attributes:
        last: Its decoding time.
        following: The decoding time at which the next packet is expected.
        end: End of the display of all packets so far.
    """

    last: Fraction
    following: Fraction
    end: Fraction


class ContinuousClock:
    """Shifts the packets of one file, in the order in which they are read."""

    def __init__(self) -> None:
        self._offsets: deque[_Offset] = deque([_Offset(Fraction(0))], maxlen=_RECENT)
        self._restarts: list[_Offset] = []
        self._tracks: dict[int, _Track] = {}

    @property
    def restarts(self) -> list[Fraction]:
        """Return the continuous times at which the clock restarted, seconds."""
        times: list[Fraction] = []
        for offset in self._restarts:
            is_other = not times or offset.begin - times[-1] >= _OVERLAP
            if offset.packets >= _CONFIRMED and is_other:
                times.append(offset.begin)
        return times

    def shift(self, packet: Packet[Stream]) -> bool:
        """Add the offset to the stamps of a packet; return whether the clock restarts with it."""
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is None:
            return False
        unit = time_base(packet)
        kind = packet.stream.type
        is_video = kind == "video"
        if kind not in ("audio", "video") or (is_video and packet.dts is None):
            self._add(packet, self._nearest(stamp * unit), unit)
            return False
        time, track = stamp * unit, self._tracks.get(packet.stream.index)
        offset, is_new = self._offset_for(packet, time, track, unit)
        self._add(packet, offset, unit)
        self._record(packet, track, unit)
        return is_new

    def _offset_for(
        self, packet: Packet[Stream], time: Fraction, track: _Track | None, unit: Fraction
    ) -> tuple[_Offset, bool]:
        newest = self._offsets[-1]
        if track is None:
            return newest, False
        if newest.packets >= _CONFIRMED and track.last >= newest.begin + _OVERLAP:
            self._offsets = deque([newest], maxlen=_RECENT)
        best = min(self._offsets, key=lambda one: abs(time + one.value - track.following))
        shown = packet.pts * unit if packet.pts is not None and packet.is_keyframe else None
        if best is newest and shown is not None and packet.stream.type == "video":
            self._settle(newest, track.end - shown)
        moved = time + best.value
        # Tracks may pause while others run on, as the video of a slide show.
        latest = max(track.following, *(other.last for other in self._tracks.values()))
        # After a joint a track may go on where another one ended earlier than it did.
        is_joint = best.value != 0 and track.last < best.begin + _TAIL
        back = _TAIL if is_joint and packet.stream.type != "video" else _BACKWARD
        if track.last - back <= moved <= latest + _FORWARD:
            return best, False
        begin, stamp = (track.following, time) if shown is None else (track.end, shown)
        is_open = packet.stream.type != "video"
        new = _Offset(begin - stamp, begin, is_open=is_open)
        self._offsets.append(new)
        self._restarts.append(new)
        return new, True

    def _settle(self, offset: _Offset, value: Fraction) -> None:
        """Let the video run on exactly, where another track was the first of its clock."""
        if offset.is_open and abs(value - offset.value) < _OVERLAP:
            offset.begin += value - offset.value
            offset.value = value
        offset.is_open = False

    def _nearest(self, time: Fraction) -> _Offset:
        """Return the offset with which a packet of a sparse track is nearest to the others."""
        if not self._tracks:
            return self._offsets[-1]
        now = max(track.last for track in self._tracks.values())
        return min(self._offsets, key=lambda one: abs(time + one.value - now))

    def _add(self, packet: Packet[Stream], offset: _Offset, unit: Fraction) -> None:
        offset.packets += 1
        ticks = round(offset.value / unit)
        if not ticks:
            return
        if packet.pts is not None:
            packet.pts += ticks
        if packet.dts is not None:
            packet.dts += ticks

    def _record(self, packet: Packet[Stream], track: _Track | None, unit: Fraction) -> None:
        dts = packet.dts if packet.dts is not None else packet.pts
        assert dts is not None
        if track is not None and self._restarts and dts * unit <= track.last:
            # The end of one recording overlaps the beginning of the next in this track.
            later = round(track.last / unit) + 1 - dts
            dts += later
            if packet.dts is not None:
                packet.dts += later
            if packet.pts is not None:
                packet.pts = max(packet.pts, dts) if packet.stream.type == "video" else dts
        duration = (packet.duration or 0) * unit
        shown = packet.pts if packet.pts is not None else dts
        end = shown * unit + duration
        self._tracks[packet.stream.index] = _Track(
            last=dts * unit,
            following=dts * unit + duration,
            end=end if track is None else max(track.end, end),
        )
