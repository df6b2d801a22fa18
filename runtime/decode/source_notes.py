"""Say what reading a file has shown: damage, restarts of its clock, a missing end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from vsrc.runtime.decode.decoding import Decoding
from vsrc.runtime.decode.probe import VideoInfo
from vsrc.runtime.text.count_text import count_text
from vsrc.runtime.text.time_text import format_span

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


def describe_restarts(
    restarts: Sequence[Fraction], jumps: Sequence[tuple[Fraction, Fraction]], *, start: Fraction
) -> list[str]:
    """Return messages on restarts of the clock, at most one on each kind.

    Args:
        restarts: Continuous times at which the clock restarted, seconds.
        jumps: Those of them that are jumps ahead, and by how much, seconds.
        start: Time of the first frame, seconds.
    """
    ahead = dict(jumps)
    messages = []
    if back := [time for time in restarts if time not in ahead]:
        messages.append(f"the clock restarts at {describe_places(back, start=start)}")
    if ahead:
        spans = ", ".join(format_span(float(jump)) for jump in list(ahead.values())[:_LISTED])
        messages.append(
            f"the clock jumps ahead at {describe_places(list(ahead), start=start)}, by {spans}: "
            "what follows counts as another recording and is joined without a gap"
        )
    return messages


def describe_left_out(count: int, seconds: Fraction) -> str:
    """Return a message on frames before the first clean picture, which take some seconds."""
    return (
        f"it begins in the middle of a group of pictures: {count_text(count, 'frame')} "
        f"({float(seconds):.2g} s) before the first clean picture {'is' if count == 1 else 'are'} "
        f"left out, and the other tracks with {'it' if count == 1 else 'them'}"
    )


def describe_unclean(count: int) -> str:
    """Return a message on frames of joined recordings that begin in the middle of a group."""
    verbs = "is not clean, and was" if count == 1 else "are not clean, and were"
    return (
        f"{count_text(count, 'frame')} of recordings that begin in the middle of a group of "
        f"pictures {verbs} replaced by repeating the frame before"
    )


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
