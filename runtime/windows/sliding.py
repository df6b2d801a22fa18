"""Sliding windows over the frames of a video, each a view into one array.

Radius 1, a shot of four frames (A B C D) and the next shot (E ...):

    padded   A A B C D D | E E ...        the ends of a shot repeat its outermost frame,
    windows  A A B                        so a window never contains a cut
               A B C
                 B C D
                   C D D
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsrc.runtime.decode.frame import Packets, SourceFrame
from vsrc.runtime.picture.device_planes import ResidentFrame
from vsrc.runtime.pixels import Pixels

if TYPE_CHECKING:
    import av

_SLACK_BYTES = 32 << 20
"""Limit of the space for frames after the window, bytes; when it is full, the window moves."""


@dataclass(frozen=True)
class Slot:
    """One output frame that is taken from the result of a window.

    Attributes:
        index: Index among the frames that the network outputs for the window.
        pts: Presentation time stamp, units of the result's time_base.
        duration: Display duration, units of the result's time_base.
        packets: Packets of other tracks that are written with it.
        wanted: Whether it is part of the result.
        name: File name without suffix; see `SourceFrame`.
        is_kept: Whether it already exists, from a run that was stopped.
        starts_shot: Whether it is the first frame of a shot.
        carrier: Frame with the captions and other side data of the source frame.
    """

    index: int
    pts: int
    duration: int
    packets: Packets = ()
    wanted: bool = True
    name: str = ""
    is_kept: bool = False
    starts_shot: bool = False
    carrier: av.VideoFrame | None = None

    @property
    def is_missing(self) -> bool:
        """Whether the network still has to compute it."""
        return self.wanted and not self.is_kept


@dataclass(frozen=True, eq=False)
class Window:
    """Frames that are fed at once, and the output frames that are taken from the result.

    Attributes:
        lr: Frames, `(T, H, W, 3)`; a view that is overwritten when the next window is requested.
        slots: Output frames, in order.
        keys: Index of each frame in the video; repeated where the frame is.
        moves_state: Whether it must be fed even if no result is missing, as a later frame needs the
            state that it leaves.
        resident: The same frames in the memory of a device; empty if any is not there.
    """

    lr: Pixels
    slots: tuple[Slot, ...]
    keys: tuple[int, ...] = ()
    moves_state: bool = False
    resident: tuple[ResidentFrame, ...] = ()


def iter_windows(
    frames: Iterable[SourceFrame], *, radius: int, lookahead: int | None = None
) -> Iterator[Window]:
    """Yield a window around each frame, which is upscaled.

    Args:
        frames: Frames in display order; a new shot begins where `starts_shot` is set.
        radius: Number of frames before the one that is upscaled.
        lookahead: Number of frames after it; None for as many as before.
    """
    lookahead = radius if lookahead is None else lookahead
    ring: _Ring | None = None
    waiting: deque[SourceFrame] = deque()  # frames whose next neighbours are not read yet
    last: SourceFrame | None = None
    for key, frame in enumerate(frames):
        if ring is None:
            ring = _Ring(radius + 1 + lookahead, frame.rgb)
        if last is not None and frame.starts_shot:
            yield from _close_shot(ring, waiting, (key - 1, last), lookahead)
        if last is None or frame.starts_shot:
            ring.clear()
            for _ in range(radius):
                ring.push(key, frame)
        ring.push(key, frame)
        waiting.append(frame)
        if ring.is_full:
            yield ring.window((_slot(waiting.popleft()),))
        last = frame
    if ring is not None and last is not None:
        yield from _close_shot(ring, waiting, (key, last), lookahead)


def _close_shot(
    ring: _Ring, waiting: deque[SourceFrame], last: tuple[int, SourceFrame], lookahead: int
) -> Iterator[Window]:
    key, frame = last
    for _ in range(lookahead):
        ring.push(key, frame)
        if ring.is_full:
            yield ring.window((_slot(waiting.popleft()),))


def _slot(frame: SourceFrame) -> Slot:
    return Slot(
        index=0,
        pts=frame.pts,
        duration=frame.duration,
        packets=frame.packets,
        wanted=frame.wanted,
        name=frame.name,
        starts_shot=frame.starts_shot,
        carrier=frame.carrier,
    )


class _Ring:
    """The last `size` frames, contiguous in memory.

        [ . . a b c d . . . ]     push(e):  [ . . . b c d e . . ]     size 4
              ^^^^^^^                             ^^^^^^^

    At the end of the array the frames that are still needed are moved to its front. That is one
    copy of a window every `slack` frames, and every window is contiguous.
    """

    def __init__(self, size: int, frame: Pixels) -> None:
        slack = min(16, max(1, _SLACK_BYTES // max(1, frame.nbytes)))
        self._size = size
        self._frames = np.empty((size + slack, *frame.shape), dtype=frame.dtype)
        self._keys: deque[int] = deque(maxlen=size)
        self._resident: deque[ResidentFrame | None] = deque(maxlen=size)
        self._stop = 0

    @property
    def is_full(self) -> bool:
        return len(self._keys) == self._size

    def clear(self) -> None:
        self._stop = 0
        self._keys.clear()
        self._resident.clear()

    def push(self, key: int, frame: SourceFrame) -> None:
        if self._stop == len(self._frames):
            kept = self._size - 1
            self._frames[:kept] = self._frames[self._stop - kept :]
            self._stop = kept
        self._frames[self._stop] = frame.rgb
        self._stop += 1
        self._keys.append(key)
        self._resident.append(frame.resident)

    def window(self, slots: tuple[Slot, ...]) -> Window:
        lr = self._frames[self._stop - self._size : self._stop]
        resident = tuple(one for one in self._resident if one is not None)
        whole = resident if len(resident) == self._size else ()
        return Window(lr, slots, tuple(self._keys), resident=whole)
