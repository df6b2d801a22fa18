"""Select an excerpt of a video, with the neighbouring frames that the network needs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction

from vsrc.runtime.decode.frame import Packets, SourceFrame

_LAG_SECONDS = 1
"""How much later than its frames a packet of another track may be interleaved, seconds."""


def excerpt(
    frames: Iterable[SourceFrame],
    *,
    first_pts: int,
    count: int | None,
    context: int,
    time_base: Fraction,
    before: int | None = None,
) -> Iterator[SourceFrame]:
    """Mark `count` frames from `first_pts` on as wanted, and yield their neighbours unmarked.

    So a frame at the edge of the excerpt is upscaled from the same window as in the whole video.

    Args:
        frames: Frames in display order, from some way before `first_pts`.
        first_pts: PTS at which the excerpt begins.
        count: Number of frames; None for all that follow.
        context: Number of neighbours on each side.
        time_base: Unit of PTS, seconds.
        before: Number of frames to yield before the first; None for `context`.
    """
    earlier: deque[SourceFrame] = deque(maxlen=context if before is None else before)
    packets: Packets = ()
    taken = after = 0
    end_pts = 0
    for frame in frames:
        if frame.pts < first_pts:
            earlier.append(replace(frame, packets=(), wanted=False))
            packets += frame.packets
        elif count is None or taken < count:
            yield from earlier
            earlier.clear()
            yield replace(frame, packets=packets + frame.packets)
            packets = ()
            taken += 1
            end_pts = frame.pts + frame.duration
        else:
            # Packets of other tracks on these frames may still belong to the excerpt.
            yield replace(frame, wanted=False)
            after += 1
            if after >= context and (frame.pts - end_pts) * time_base >= _LAG_SECONDS:
                return
