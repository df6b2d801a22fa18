"""Say what reading a file has shown: damage, restarts of its clock, a missing end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from vsrc.runtime.decode.decoding import Decoding
from vsrc.runtime.decode.probe import VideoInfo
from vsrc.runtime.text.count_text import count_text

_LISTED = 4
"""Most times that a line lists."""

_TOLERANCE_SECONDS = Fraction(1, 2)
"""Tolerance of file lengths: headers round them, and some count the last frame differently."""


@dataclass(frozen=True)
class HeaderLength:
    """How long a file is by its header.

    Attributes:
        frames: Number of frames, in AVI of chunks; 0 if unknown.
        end: Time at which the video ends, seconds; None if unknown.
    """

    frames: int
    end: Fraction | None


def describe_places(places: Sequence[Fraction], *, start: Fraction) -> str:
    """Format times in seconds of PTS as times from the first frame, at `start`."""
    shown = [f"{float(place - start):.1f} s" for place in places[:_LISTED]]
    more = len(places) - len(shown)
    return ", ".join(shown) + (f" and {more} more times" if more else "")


def describe_damage(damaged: int, *, repeated: int) -> str:
    """Return a message on damaged packets and repeated frames; empty if there are none."""
    verb, whose = ("was", "its") if repeated == 1 else ("were", "their")
    replaced = f"{verb} replaced by repeating {whose} neighbours"
    if damaged:
        return (
            f"{count_text(damaged, 'damaged packet')}; {count_text(repeated, 'frame')} that could "
            f"not be decoded {replaced}"
        )
    if repeated:
        return f"{count_text(repeated, 'missing frame')} {replaced}"
    return ""


def describe_missing_end(read: Decoding, info: VideoInfo, length: HeaderLength) -> str:
    """Return a message if a file is shorter than its header says, else an empty string.

    Args:
        read: Pass over the whole file.
        info: Properties of the file.
        length: Its length by the header.
    """
    present, expected = read.video_packets, info.frames
    if info.container == "avi":
        # AVI counts empty chunks, too, which stand for frames that an encoder skipped. FFmpeg takes
        # its duration from what is there.
        present = read.last_dts + 1 if read.last_dts is not None else 0
        expected = length.frames - round(_TOLERANCE_SECONDS * info.rate)
    if expected > present:
        expected = info.frames or length.frames
        return f"it is truncated: {present} of {expected} frames are present"
    end = length.end
    if end is None or read.restarts or read.end_seconds + _TOLERANCE_SECONDS >= end:
        return ""
    return f"it is truncated: {float(read.end_seconds):.1f} of {float(end):.1f} seconds are present"
