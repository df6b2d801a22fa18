"""Give decoded frames increasing time stamps, and find where frames are missing between them.

A decoder returns frames in display order. Its time stamps are those of the packets, and some files
store the times at which packets are decoded (H.264 with B-frames in AVI and ASF), or wrong ones:

    frames of the decoder     a   b   c   d   e   f        the order is right
    stamps of their packets   2   6   8   4  12  14 ...    the stamps are not
    stamps they get           2   4   6   8  10  12 ...    the same ones, in order

A frame counts as lost only after the following ones were looked at, so that no frame is replaced
that the decoder still returns.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsrc.runtime.decode.stamps.lost_frames import LostFrames

if TYPE_CHECKING:
    import av

_REACH = 17
"""Number of frames that are looked at: H.264 and HEVC delay 16 at most."""

_LEAST_REACH = 2

_REACH_BYTES = 512 << 20


@dataclass(frozen=True, eq=False)
class TimedFrame:
    """One decoded frame.

    Attributes:
        frame: The frame.
        pts: Presentation time stamp, above that of the frame before, units of its time_base.
        lost: PTS of the frames that are missing before it.
    """

    frame: av.VideoFrame
    pts: int
    lost: tuple[int, ...]


class DisplayOrder:
    """Time stamps of the frames of one pass over a file.

    Attributes:
        adjusted: Number of stamps that did not increase even in order.

    Args:
        lost: Ledger of the packets.
        step: Usual distance between frames, units of time_base.
        start: PTS of a first frame that has none.
    """

    def __init__(self, lost: LostFrames, *, step: int, start: int) -> None:
        self.adjusted = 0
        self._lost = lost
        self._step = step
        self._following = start
        self._last: int | None = None
        self._frames: deque[av.VideoFrame] = deque()
        self._stamps: list[int] = []

    def iter_timed(self, frames: Iterable[av.VideoFrame]) -> Iterator[TimedFrame]:
        """Yield all frames in the order in which they come."""
        source = iter(frames)
        while self._frames or self._take(source):
            lost: tuple[int, ...] = ()
            if self._frames[0].pts is None:
                frame, stamp = self._frames.popleft(), self._following
            else:
                self._look_ahead(source)
                frame, stamp = self._frames.popleft(), heapq.heappop(self._stamps)
                lost = tuple(self._lost.received(stamp))
                if self._last is not None and stamp <= self._last:
                    stamp = self._between(source)
            self._last, self._following = stamp, stamp + self._step
            yield TimedFrame(frame, stamp, lost)

    def _look_ahead(self, source: Iterator[av.VideoFrame]) -> None:
        """Take one frame more, and as many as it takes until no earlier one is missing."""
        if len(self._frames) < _LEAST_REACH:  # its packet may not have been sent yet
            self._take(source)
        frame = self._frames[0]
        reach = max(4, min(_REACH, _REACH_BYTES // (3 * frame.width * frame.height)))
        while self._lost.is_any_due_before(self._stamps[0]):
            if len(self._frames) >= reach or not self._take(source):
                return

    def _take(self, source: Iterator[av.VideoFrame]) -> bool:
        for frame in source:
            if frame.pts is not None:
                if self._lost.is_surplus(frame.pts):
                    continue
                heapq.heappush(self._stamps, frame.pts)
            self._frames.append(frame)
            return True
        return False

    def _between(self, source: Iterator[av.VideoFrame]) -> int:
        """Return a stamp halfway to the next frame, or a usual step later if that has none."""
        assert self._last is not None
        self.adjusted += 1
        if not self._frames:
            self._take(source)
        following = self._stamps[0] if self._stamps else self._last
        step = (following - self._last) // 2 if following > self._last else self._step
        return self._last + max(1, step)
