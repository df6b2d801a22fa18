"""Compute the features of a frame once, not T times, and keep them while windows use the frame.

Sets of features are stored side by side in slots, in order of time, so that a window is one
contiguous run of slots. T = 3, window by window (frames are identified by their keys):

    keys      ring                                  work
    a a b     [ a a b . . . ]                       encode a, copy it, encode b
    a b c     [ a a b c . . ]  window: a b c        encode c
    b c d     [ a a b c d . ]  window:   b c d      encode d
    c d d     [ a a b c d d ]  window:     c d d    copy d

At the end of the buffer the sets that are still needed are moved to its front.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

import numpy as np

from vsrc.runtime.pixels import Pixels8
from vsrc.runtime.spec import GraphSpec, NetworkSpec
from vsrc.runtime.windows.graph_io import check_output, pad_to_fit
from vsrc.runtime.windows.lane_choice import LaneChoice
from vsrc.runtime.windows.session import RenewableSession, check_windows

_SLACK_BYTES = 64 << 20
_SLACK_SLOTS = 32
"""Limits of the slots after the window: their number and, beyond the first, their bytes."""


class FeatureMemory(Protocol):
    """Slots for the features of frames of one size, in the memory that the backend uses."""

    def encode(self, frames: Pixels8, slot: int, /) -> None:
        """Fill a slot with the features of a run of frames, `(F, H, W, 3)`."""

    def copy(self, source: int, target: int, count: int, /) -> None:
        """Copy slots; the two runs may overlap if `target` is the lower one."""

    def fuse(self, first: int, centre: Pixels8, /) -> Callable[[], Pixels8]:
        """Begin to upscale the window whose features begin in slot `first`.

        Args:
            first: Its first slot.
            centre: The middle frame, `(H, W, 3)`.

        Returns:
            Function that waits for the result and returns it: `(1, sH, sW, 3)`, or
            `(1, T', sH, sW, 3)` when time_scale is 2.
        """


class Halves(Protocol):
    """The encode graph and the fuse graph of a network, loaded by a backend.

    Attributes:
        label: Name of the backend and the precision, for messages.
        network: Properties of the network that its callers need.
        graph: The encode graph.
    """

    label: str
    network: NetworkSpec
    graph: GraphSpec

    @property
    def ahead(self) -> int:
        """Number of windows to start before the first is waited for; see `AsyncSession`."""

    @property
    def at_once(self) -> int:
        """Number of windows computed at the same time; see `AsyncSession`."""

    @property
    def lane_choice(self) -> LaneChoice | None:
        """Division of the CPU threads; see `ParallelSession`."""

    @property
    def most_lanes(self) -> int:
        """Largest number of lanes; see `ParallelSession`."""

    def fit_lanes(self, size: tuple[int, int], most: int) -> None:
        """Prepare for windows of another size; see `ParallelSession`."""

    def memory(self, slots: int, height: int, width: int) -> FeatureMemory:
        """Allocate slots for frames of a size that the graphs take."""

    def close(self) -> None:
        """Free everything; calling it twice does nothing."""


class RingSession:
    """A session that computes the features of a frame once for all windows that hold it."""

    def __init__(self, halves: Halves) -> None:
        self._halves = halves
        self.label, self.network, self.graph = halves.label, halves.network, halves.graph
        self.runs = self.network.window - self.graph.encoded_frames + 1
        self._rings: dict[Hashable, _Ring] = {}

    @property
    def ahead(self) -> int:
        """Number of windows to start before the first is waited for; see `AsyncSession`."""
        return self._halves.ahead

    @property
    def at_once(self) -> int:
        """Number of windows computed at the same time; see `AsyncSession`."""
        return self._halves.at_once

    @property
    def lane_choice(self) -> LaneChoice | None:
        """Division of the CPU threads; see `ParallelSession`."""
        return self._halves.lane_choice

    @property
    def most_lanes(self) -> int:
        """Largest number of lanes; see `ParallelSession`."""
        return self._halves.most_lanes

    def fit_lanes(self, size: tuple[int, int], most: int) -> None:
        """Prepare for windows of another size; see `ParallelSession`."""
        self._halves.fit_lanes(size, most)

    def __call__(self, lr: Pixels8, /) -> Pixels8:
        """Upscale windows without keys, so without reuse of features; see `Session`."""
        self._rings.clear()
        unknown = tuple(range(self.network.window))
        upscaled = []
        for window in lr:
            upscaled.append(self.keyed(window[None], [unknown]))
            self._rings.clear()
        return np.concatenate(upscaled)

    def keyed(
        self, lr: Pixels8, keys: Sequence[tuple[int, ...]], *, place: Hashable = 0
    ) -> Pixels8:
        """Upscale windows whose frames have keys; see `FrameCachingSession`."""
        return self.start(lr, keys, place=place)()

    def start(
        self, lr: Pixels8, keys: Sequence[tuple[int, ...]] | None = None, *, place: Hashable = 0
    ) -> Callable[[], Pixels8]:
        """Begin to upscale windows; see `AsyncSession`."""
        if keys is None:
            made = self(lr)
            return lambda: made
        check_windows(lr, self.network, self.graph)
        height, width = lr.shape[2:4]
        least = (self.graph.height[0], self.graph.width[0])
        padded = pad_to_fit(lr, multiple=self.network.size_multiple, least=least)
        ring = self._ring(place, padded.shape[2], padded.shape[3])
        begun = [ring.started(window, key) for window, key in zip(padded, keys, strict=True)]
        scale, like = self.network.scale, lr[:0].copy()  # shape and type, not the pixels

        def finish() -> Pixels8:
            sr = [pending() for pending in begun]
            whole = sr[0] if len(sr) == 1 else np.concatenate(sr)
            check_output(whole, self.network, self.graph, like=like)
            return whole[..., : height * scale, : width * scale, :]

        return finish

    def forget(self) -> None:
        """Drop all features: from here on the keys stand for other frames."""
        self._rings.clear()

    def feature_bytes(self, height: int, width: int) -> int:
        """Memory of the kept features of frames of this size, bytes."""
        return set_bytes(self.graph, height, width) * (
            self.runs + _slack(self.graph, height, width)
        )

    def renew(self) -> None:
        """Drop all features, and memory that the graphs keep; see `RenewableSession`."""
        self._rings.clear()
        if isinstance(self._halves, RenewableSession):
            self._halves.renew()

    def close(self) -> None:
        """Free the graphs and the features."""
        self._rings.clear()
        self._halves.close()

    def _ring(self, place: Hashable, height: int, width: int) -> _Ring:
        ring = self._rings.get(place)
        if ring is None or ring.size != (height, width):
            slots = self.runs + _slack(self.graph, height, width)
            memory = self._halves.memory(slots, height, width)
            ring = _Ring(memory, (height, width), slots, self.runs, self.graph.encoded_frames)
            self._rings[place] = ring
        return ring


class _Ring:
    """The features of the frames that were used last; see the diagram above.

    Attributes:
        size: H and W of the frames, LR pixels.
    """

    def __init__(
        self, memory: FeatureMemory, size: tuple[int, int], slots: int, runs: int, frames: int
    ) -> None:
        self.size = size
        self._memory, self._slots, self._runs, self._frames = memory, slots, runs, frames
        self._kept: list[tuple[int, ...]] = []  # keys of the last sets, at most `runs`
        self._stop = 0

    def started(self, window: Pixels8, keys: tuple[int, ...]) -> Callable[[], Pixels8]:
        """Begin to upscale the window `(T, H, W, 3)` whose frames have these keys."""
        wanted = [keys[at : at + self._frames] for at in range(self._runs)]
        held = self._held(wanted)
        for at in range(held, self._runs):
            self._push(wanted[at], window[at : at + self._frames])
        return self._memory.fuse(self._stop - self._runs, window[len(window) // 2])

    def _held(self, wanted: list[tuple[int, ...]]) -> int:
        """Number of sets at the end of the ring that the window begins with."""
        for count in range(min(len(self._kept), self._runs), 0, -1):
            if self._kept[-count:] == wanted[:count]:
                return count
        return 0

    def _push(self, key: tuple[int, ...], frames: Pixels8) -> None:
        if self._stop == self._slots:
            kept = self._runs - 1
            self._memory.copy(self._stop - kept, 0, kept)
            self._stop = kept
            del self._kept[: len(self._kept) - kept]
        if key in self._kept:
            back = len(self._kept) - self._kept.index(key)
            self._memory.copy(self._stop - back, self._stop, 1)
        else:
            self._memory.encode(frames, self._stop)
        self._kept = [*self._kept, key][-self._runs :]
        self._stop += 1


def set_bytes(graph: GraphSpec, height: int, width: int) -> int:
    """Memory of one set of features in float32, bytes."""
    sizes = (
        feature.channels * (height // feature.stride) * (width // feature.stride)
        for feature in graph.features
    )
    return 4 * sum(sizes)


def _slack(graph: GraphSpec, height: int, width: int) -> int:
    return min(_SLACK_SLOTS, max(1, _SLACK_BYTES // max(1, set_bytes(graph, height, width))))
