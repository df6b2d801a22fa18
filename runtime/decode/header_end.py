"""When a video ends according to its container, to notice that the file is cut short."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

from vsrc.runtime.decode.covers import is_cover
from vsrc.runtime.pyav_versions import time_base

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream

_WITH_HEADER = ("asf", "avi", "flv", "matroska", "mov", "mxf")
"""Beginnings of FFmpeg's names of containers whose header says how long the file is. For others
FFmpeg estimates it, from the last time stamps or the size of what is there."""

_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")


def header_end(container: InputContainer, video: Stream) -> Fraction | None:
    """Return the time at which the video ends, seconds; None where no header says so.

    The length of the file is that of its longest track, which may be one that is not read, such as
    telemetry. It is taken only where there is no such track.
    """
    if not container.format.name.startswith(_WITH_HEADER):
        return None
    if video.duration:
        return ((video.start_time or 0) + video.duration) * time_base(video)
    whole = Fraction(container.duration or 0, 1_000_000) or None
    tag = next((text for name, text in video.metadata.items() if name.upper() == "DURATION"), "")
    if match := _CLOCK.fullmatch(tag):
        hours, minutes, seconds = match.groups()
        tagged = int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
        return min(tagged, whole or tagged)
    unread = (
        stream.type in ("data", "video") and stream is not video and not is_cover(stream)
        for stream in container.streams
    )
    return None if any(unread) else whole
