"""Gaps in time that containers can store, and the time scale with which MP4 stores long ones.

MP4 has 32 bits for the time between two frames: at 90 kHz 6.6 hours. A coarser time scale holds a
longer gap; it is exact if all times are multiples of its unit, as those of a constant rate are.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vsrc.runtime.decode.packet_scan import PacketScan
from vsrc.runtime.encode.muxers import MOV_FAMILY
from vsrc.runtime.errors import MediaError

_MOST_TICKS = (1 << 31) - 1

_MOST_REORDERED_TICKS = 1 << 28

_LEAST_DEFAULT_SCALE = 10_000
"""Ticks per second; FFmpeg doubles a coarser time scale."""

_LEAST_SCALE = 1000
"""Coarsest time scale that rounds times, ticks per second."""

_FINEST_SCALE = 90_000

_CLOCK_SECONDS = Fraction(1 << 33, 90_000)
_LONGEST_GAP = {
    "mpegts": _CLOCK_SECONDS, "mpeg": _CLOCK_SECONDS, "vob": _CLOCK_SECONDS,
    "dvd": _CLOCK_SECONDS, "svcd": _CLOCK_SECONDS, "vcd": _CLOCK_SECONDS,
    "flv": Fraction(_MOST_TICKS, 1000), "asf": Fraction(_MOST_TICKS, 1000),
}  # fmt: skip
"""FFmpeg's name of a muxer -> longest time between two frames, seconds; with a longer one its clock
would wrap unseen."""

_MOST_EMPTY_CHUNKS = 60_000
"""Most empty chunks in a row that FFmpeg's AVI muxer writes."""


def check_gap(path: Path, muxer: str, scan: PacketScan, *, rate: Fraction) -> None:
    """Raise if a container cannot store the longest gap of a source.

    Args:
        path: Path of the result.
        muxer: FFmpeg's name of its container.
        scan: Times of the source.
        rate: Frame rate of the result, frames/s.

    Raises:
        MediaError: The gap is too long for this container.
    """
    longest = _LONGEST_GAP.get(muxer)
    if muxer == "avi":
        longest = _MOST_EMPTY_CHUNKS / rate
    if muxer in MOV_FAMILY and _scale_for(scan) is None:
        longest = Fraction(_MOST_TICKS, _LEAST_SCALE)
    if longest is not None and scan.longest_gap > longest:
        raise MediaError(
            f"{path}: {muxer} cannot store the gap of {describe_seconds(scan.longest_gap)} after "
            f"{describe_seconds(scan.gap_begin)} (at most {describe_seconds(longest)}); name the "
            "output .mkv"
        )


@dataclass(frozen=True)
class MovTimes:
    """How FFmpeg's MOV muxer stores the times of a source.

    Attributes:
        options: Options of the muxer; empty for its default time scale.
        reorders: Whether frames may be stored in another order than they are shown in: FFmpeg reads
            no difference between the times of decoding and display above 2^28 ticks.
    """

    options: dict[str, str]
    reorders: bool


def choose_mov_times(scan: PacketScan, *, time_base: Fraction) -> MovTimes:
    """Choose a time scale that holds the longest gap of a source.

    Args:
        scan: Times of the source.
        time_base: Unit of the stamps of the result, seconds.
    """
    scale = time_base.denominator
    while scale < _LEAST_DEFAULT_SCALE:  # as the muxer does
        scale *= 2
    coarser = None if scan.longest_gap * scale <= _MOST_TICKS else _scale_for(scan)
    options = {"video_track_timescale": str(coarser)} if coarser else {}
    return MovTimes(options, scan.longest_gap * (coarser or scale) < _MOST_REORDERED_TICKS)


def _scale_for(scan: PacketScan) -> int | None:
    """Return the finest time scale that holds the longest gap; one that is exact if there is."""
    most = min(_FINEST_SCALE, int(_MOST_TICKS / max(scan.longest_gap, Fraction(1))))
    # With a doubled frame rate, stamps are multiples of half a step.
    for exact in (2 * scan.step.denominator, scan.step.denominator):
        if most >= exact:
            return most // exact * exact
    return most if most >= _LEAST_SCALE else None


def describe_seconds(seconds: Fraction) -> str:
    """Return a time in words: `20.0 h`, `3.5 s`."""
    if seconds >= 3600:
        return f"{float(seconds / 3600):.1f} h"
    return f"{float(seconds):.1f} s"
