"""A part of a video, with the frames around it that the network needs to see."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction

from vsrc.runtime.decode.frame import Packets, SourceFrame

_LAG_SECONDS = 1
"""Other tracks may lie this much later in a file than the frames they belong to."""


def excerpt(
    frames: Iterable[SourceFrame],
    *,
    first_pts: int,
    count: int | None,
    context: int,
    time_base: Fraction,
) -> Iterator[SourceFrame]:
    """Mark `count` frames from `first_pts` on as wanted; their neighbours go along, not wanted.

    So a frame at the edge of the excerpt is restored from the same window as in the whole video.

    Args:
        frames: From some way before `first_pts`.
        first_pts: PTS at which the excerpt begins.
        count: Number of frames; None for all that follow.
        context: Neighbours on each side.
        time_base: Unit of PTS, seconds.
    """
    before: deque[SourceFrame] = deque(maxlen=context)
    packets: Packets = ()
    taken = after = 0
    end_pts = 0
    for frame in frames:
        if frame.pts < first_pts:
            before.append(replace(frame, packets=(), wanted=False))
            packets += frame.packets
        elif count is None or taken < count:
            yield from before
            before.clear()
            yield replace(frame, packets=packets + frame.packets)
            packets = ()
            taken += 1
            end_pts = frame.pts + frame.duration
        else:
            # The packets of these frames may still belong to the time of the excerpt.
            yield replace(frame, wanted=False)
            after += 1
            if after >= context and (frame.pts - end_pts) * time_base >= _LAG_SECONDS:
                return
