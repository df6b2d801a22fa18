"""The times of the last packet of a track, by its stamps and duration."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from vsrc.runtime.pyav_versions import time_base

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream

_LONGEST_DURATION = Fraction(1)
"""Most that is assumed of a packet without a duration, seconds."""


@dataclass
class TrackTimes:
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


def raw_time(packet: Packet[Stream]) -> Fraction | None:
    """Return when a packet is decoded, by the clock of the file, seconds."""
    stamp = packet.dts if packet.dts is not None else packet.pts
    return None if stamp is None else stamp * time_base(packet)


def has_clock(packet: Packet[Stream]) -> bool:
    """Whether a packet follows the one before it in time, as those of subtitles need not."""
    kind = packet.stream.type
    return kind == "audio" or (kind == "video" and packet.dts is not None)


def after(
    packet: Packet[Stream], track: TrackTimes | None, offset: Fraction = Fraction(0)
) -> TrackTimes:
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
    return TrackTimes(
        last=dts * unit + offset,
        written=dts * unit + offset,
        following=dts * unit + duration + offset,
        is_video=packet.stream.type == "video",
        end=end + offset if track is None else max(track.end, end + offset),
        delay=delay,
        is_partial=is_partial,
    )
