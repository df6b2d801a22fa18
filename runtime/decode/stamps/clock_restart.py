"""Read ahead where the clock of a file may restart, to learn what the new clock begins with."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from vsrc.runtime.decode.stamps.track_times import TrackTimes, after, has_clock, raw_time
from vsrc.runtime.pyav_versions import time_base

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream

FORWARD = Fraction(10)
BACKWARD = Fraction(1, 10)
"""How far a clock may step forward and backward without being another one, seconds: FFmpeg's limits
(`-dts_delta_threshold`)."""

OVERLAP = Fraction(2)
"""How long packets of the clock before may follow a restart, seconds."""

_AHEAD_VIDEO, _AHEAD_ALL, _AHEAD_BYTES = 17, 400, 64 << 20
"""Most packets of the video and of all tracks that are read ahead, and their size, bytes; H.264 and
HEVC delay 16 pictures at most."""


class NewPictures:
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

    def __init__(self, trigger: Packet[Stream], video: TrackTimes | None, offset: Fraction) -> None:
        begin = raw_time(trigger)
        assert begin is not None
        self._begin, self._before, self._offset = begin, video, offset
        self._last = begin - OVERLAP
        self._count = 0
        self._has_pts = False
        self.earliest: Fraction | None = None
        self.is_complete = False
        self.add(trigger)

    @property
    def end(self) -> Fraction | None:
        """See `NewPictures`."""
        return self._before.end if self._before else None

    def add(self, packet: Packet[Stream]) -> None:
        """Take the next packet of the file."""
        if packet.stream.type == "video" and packet.dts is not None and not self.is_complete:
            time = packet.dts * time_base(packet)
            if self._before is not None and self._is_of_clock_before(time, self._before):
                self._before = after(packet, self._before, self._offset)
            elif self._begin - OVERLAP <= time <= self._begin + FORWARD:
                self._add_picture(packet, time)

    def _is_of_clock_before(self, time: Fraction, track: TrackTimes) -> bool:
        is_next = abs(time + self._offset - track.following) <= BACKWARD
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


def find_restart_behind(
    packet: Packet[Stream],
    following: Iterable[Packet[Stream]],
    is_on_new_clock: Callable[[Packet[Stream]], bool],
) -> tuple[Fraction, Fraction] | None:
    """Find the first picture of a new clock behind the first packet of a track.

    Args:
        packet: First packet of the track.
        following: Packets behind it.
        is_on_new_clock: Whether a picture follows none of the clocks so far.

    Returns:
        Times by the clock of the file of the last packet of the track before that picture, and of
        the picture, seconds; None if there is none, or the clock of the track restarts first.
    """
    last, pictures = raw_time(packet), 0
    for one in filter(has_clock, following):
        time = raw_time(one)
        if time is None or last is None:
            continue
        if one.stream.type == "video":
            if is_on_new_clock(one):
                return last, time
            pictures += 1
        elif one.stream is packet.stream:
            last = time if time >= last else None
        if last is None or pictures == _AHEAD_VIDEO:
            return None
    return None


def iter_ahead(
    source: Iterator[Packet[Stream]], ahead: deque[Packet[Stream]]
) -> Iterator[Packet[Stream]]:
    """Yield the packets that were read ahead, and read more of them, within the limits."""
    yield from list(ahead)
    size = sum(packet.size for packet in ahead)
    while len(ahead) < _AHEAD_ALL and size < _AHEAD_BYTES:
        packet = next(source, None)
        if packet is None:
            return
        ahead.append(packet)
        size += packet.size
        yield packet
