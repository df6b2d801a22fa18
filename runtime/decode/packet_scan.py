"""Read the packets of a file once, without decoding, to know its frames and gaps before the work.

Headers of many containers have no number of frames, and a length that counts every jump of the
clock: a recording of one second with a gap of 20 hours is 20 hours long.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from statistics import median_low
from typing import TYPE_CHECKING

from vsrc.runtime.decode.media_file import open_container, select_copied_tracks, video_stream
from vsrc.runtime.decode.probe import codec_name
from vsrc.runtime.decode.recordings import iter_packets
from vsrc.runtime.decode.stamps.continuous_clock import (
    ContinuousClock,
    on_one_clock,
    open_clock,
)
from vsrc.runtime.decode.stamps.shown_frames import HIDING_CODECS, shows_frame
from vsrc.runtime.pyav_versions import time_base

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

_MOST_BYTES = 512 << 20
"""Bytes of packets that are read; of a larger file the rest is extrapolated."""

_JITTER = Fraction(2, 1000)
"""Largest difference between the time of a packet and the end of the one before it, seconds, that
is no gap; two units of the stamps are added, to which both are rounded."""


@dataclass(frozen=True)
class AudioTimes:
    """When the packets of an audio track come.

    Attributes:
        begin: Time of the first packet, seconds.
        displaced: Farthest that packets lie from where they would be if all followed the first
            one without gap or overlap, seconds.
    """

    begin: Fraction
    displaced: Fraction


@dataclass(frozen=True)
class PacketScan:
    """What the packets of a file say.

    Attributes:
        frames: Number of frames that are shown.
        is_extrapolated: Whether only the first part of a large file was read, so `frames` is an
            estimate.
        begin: Time of the first frame, on a continuous clock, seconds.
        length: Time from the first to the end of the last frame, seconds.
        longest_gap: Longest time between two frames, seconds.
        gap_begin: Time of the frame before it, seconds after the first.
        step: Greatest unit that all times between frames are multiples of, seconds.
        restarts: Whether the clock of the file restarts.
        audio: Stream index -> times of an audio track.
    """

    frames: int
    is_extrapolated: bool
    begin: Fraction
    length: Fraction
    longest_gap: Fraction
    gap_begin: Fraction
    step: Fraction
    restarts: bool
    audio: dict[int, AudioTimes]


def scan_packets(path: Path) -> PacketScan | None:
    """Read the packets of a file; None for one without times, or that cannot be read twice.

    The answer is kept until the file changes.
    """
    try:
        status = path.stat()
    except OSError:  # stdin
        return None
    return _scan(path, status.st_mtime_ns, status.st_size)


@dataclass
class _Stamps:
    """Packets of one track.

    Attributes:
        unit: Unit of the stamps, seconds.
        count: Number of packets.
        stamps: Stamps of those that have one.
        durations: Durations of the same, 0 where unknown.
    """

    unit: Fraction
    count: int = 0
    stamps: list[int] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)

    def add(self, packet: Packet[Stream]) -> None:
        self.count += 1
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is not None:
            self.stamps.append(stamp)
            self.durations.append(packet.duration or 0)


@lru_cache(maxsize=8)
def _scan(path: Path, _modified: int, size_bytes: int) -> PacketScan | None:
    import av

    with closing(open_container(path)) as container:
        video = video_stream(container, path)
        others = [one for one in select_copied_tracks(container) if one.type == "audio"]
        tracks = {one.index: _Stamps(time_base(one)) for one in (video, *others)}
        read_bytes = 0
        clock = open_clock(container.format.name)
        try:
            for packet in _packets(container, video, others, clock):
                read_bytes += packet.size
                _take(packet, tracks[packet.stream.index], video)
                if read_bytes > _MOST_BYTES:
                    break
        except av.FFmpegError:
            pass  # what is there was read
        shown = tracks.pop(video.index)
    if not shown.stamps:
        return None
    share = Fraction(size_bytes, read_bytes) if read_bytes > _MOST_BYTES else Fraction(1)
    audio = {index: _audio_times(one) for index, one in tracks.items()}
    return _summary(shown, audio, share, restarts=bool(clock and clock.restarts))


def _packets(
    container: InputContainer,
    video: av.VideoStream,
    others: list[Stream],
    clock: ContinuousClock | None,
) -> Iterator[Packet[Stream]]:
    packets = on_one_clock(iter_packets(container, video, others), clock)
    return (packet for packet, _ in packets if packet.size)


def _take(packet: Packet[Stream], track: _Stamps, video: av.VideoStream) -> None:
    codec = codec_name(video)
    is_video = packet.stream is video
    is_hidden = is_video and codec in HIDING_CODECS and not shows_frame(codec, bytes(packet))
    if not packet.is_discard and not is_hidden:
        track.add(packet)


def _summary(
    shown: _Stamps, audio: dict[int, AudioTimes | None], share: Fraction, *, restarts: bool
) -> PacketScan:
    stamps = sorted(shown.stamps)
    steps = [after - before for before, after in pairwise(stamps)]
    gap = max(steps, default=0)
    place = steps.index(gap) if steps else 0
    last = median_low(steps) if steps else max(shown.durations)
    return PacketScan(
        frames=round(shown.count * share),
        is_extrapolated=share > 1,
        begin=stamps[0] * shown.unit,
        length=(stamps[-1] - stamps[0] + last) * shown.unit * share,
        longest_gap=gap * shown.unit,
        gap_begin=(stamps[place] - stamps[0]) * shown.unit,
        step=math.gcd(*steps) * shown.unit,
        restarts=restarts,
        audio={index: times for index, times in audio.items() if times is not None},
    )


def _audio_times(track: _Stamps) -> AudioTimes | None:
    if not track.stamps:
        return None
    steps = [after - before for before, after in pairwise(track.stamps)]
    usual = median_low(steps) if steps else 0
    displaced = farthest = Fraction(0)
    for step, duration in zip(steps, track.durations, strict=False):
        difference = (step - (duration or usual)) * track.unit
        if abs(difference) > _JITTER + 2 * track.unit:
            displaced += difference
            farthest = max(farthest, abs(displaced))
    return AudioTimes(track.stamps[0] * track.unit, farthest)
