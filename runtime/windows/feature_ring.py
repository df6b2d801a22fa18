"""Work once, not T times: features of a frame are found when it comes and kept while it is in use.

Sets of features lie side by side in slots, in order of time, so that a window is one contiguous
run of slots. T = 3, window by window (frames are known by their keys):

    keys      ring                                  work
    a a b     [ a a b . . . ]                       encode a, copy it, encode b
    a b c     [ a a b c . . ]  window: a b c        encode c
    b c d     [ a a b c d . ]  window:   b c d      encode d
    c d d     [ a a b c d d ]  window:     c d d    copy d

At the end of the slots those that are still needed move to the front.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

import numpy as np

from vsrc.runtime.pixels import Pixels8
from vsrc.runtime.spec import GraphSpec, NetworkSpec
from vsrc.runtime.windows.graph_io import pad_to_fit
from vsrc.runtime.windows.session import check_windows

_SLACK_BYTES = 64 << 20
_SLACK_SLOTS = 32
"""Slots behind the window: at most so many and, beyond the first, so large."""


class FeatureMemory(Protocol):
    """Slots for the features of frames of one size, wherever the backend wants them."""

    def encode(self, frames: Pixels8, slot: int, /) -> None:
        """Fill a slot with the features of a run of frames, `(F, H, W, 3)`."""

    def copy(self, source: int, target: int, count: int, /) -> None:
        """Copy slots; the two runs may overlap if `target` is the lower one."""

    def fuse(self, first: int, centre: Pixels8, /) -> Callable[[], Pixels8]:
        """Begin to restore the window whose features begin in slot `first`.

        Args:
            first: Its first slot.
            centre: The middle frame, `(H, W, 3)`.

        Returns:
            What waits for `(1, sH, sW, 3)`; for `(1, T', sH, sW, 3)` when time_scale is 2.
        """


class Halves(Protocol):
    """The encode and the fuse graph of a network on some backend.

    Attributes:
        label: What runs them, for people.
        network: What the outside must know to feed it.
        graph: The encode graph.
        ahead: Windows that may be under way beside the newest; see `StartedSession`.
        at_once: Likewise.
    """

    label: str
    network: NetworkSpec
    graph: GraphSpec
    ahead: int
    at_once: int

    def memory(self, slots: int, height: int, width: int) -> FeatureMemory:
        """Room for the features of so many frames; sides as the graphs take them."""

    def close(self) -> None:
        """Free everything; calling it twice does nothing."""


class RingSession:
    """A session whose windows share what was found out about their frames."""

    def __init__(self, halves: Halves) -> None:
        self._halves = halves
        self.label, self.network, self.graph = halves.label, halves.network, halves.graph
        self.ahead, self.at_once = halves.ahead, halves.at_once
        self.runs = self.network.window - self.graph.encoded_frames + 1
        self._rings: dict[Hashable, _Ring] = {}

    def __call__(self, lr: Pixels8, /) -> Pixels8:
        """Restore windows of which nothing is known; see `Session`."""
        self._rings.clear()
        unknown = tuple(range(self.network.window))
        restored = []
        for window in lr:
            restored.append(self.keyed(window[None], [unknown]))
            self._rings.clear()
        return np.concatenate(restored)

    def keyed(
        self, lr: Pixels8, keys: Sequence[tuple[int, ...]], *, place: Hashable = 0
    ) -> Pixels8:
        """Restore windows whose frames are known by name; see `KeyedSession`."""
        return self.start(lr, keys, place=place)()

    def start(
        self, lr: Pixels8, keys: Sequence[tuple[int, ...]] | None = None, *, place: Hashable = 0
    ) -> Callable[[], Pixels8]:
        """Begin to restore windows; see `StartedSession`."""
        if keys is None:
            made = self(lr)
            return lambda: made
        check_windows(lr, self.network, self.graph)
        height, width = lr.shape[2:4]
        least = (self.graph.height[0], self.graph.width[0])
        padded = pad_to_fit(lr, multiple=self.network.size_multiple, least=least)
        ring = self._ring(place, padded.shape[2], padded.shape[3])
        begun = [ring.started(window, key) for window, key in zip(padded, keys, strict=True)]
        scale = self.network.scale

        def restored() -> Pixels8:
            sr = [pending() for pending in begun]
            whole = sr[0] if len(sr) == 1 else np.concatenate(sr)
            return whole[..., : height * scale, : width * scale, :]

        return restored

    def forget(self) -> None:
        """Let go of all features: keys of frames mean other frames from here on."""
        self._rings.clear()

    def feature_bytes(self, height: int, width: int) -> int:
        """Memory that the kept features of frames of this size take."""
        return set_bytes(self.graph, height, width) * (
            self.runs + _slack(self.graph, height, width)
        )

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
    """The features of the frames that were used last; see the picture above.

    Attributes:
        size: H and W of the frames.
    """

    def __init__(
        self, memory: FeatureMemory, size: tuple[int, int], slots: int, runs: int, frames: int
    ) -> None:
        self.size = size
        self._memory, self._slots, self._runs, self._frames = memory, slots, runs, frames
        self._kept: list[tuple[int, ...]] = []  # keys of the last sets, at most `runs`
        self._stop = 0

    def started(self, window: Pixels8, keys: tuple[int, ...]) -> Callable[[], Pixels8]:
        """Begin to restore `(T, H, W, 3)` whose frames have these keys."""
        wanted = [keys[at : at + self._frames] for at in range(self._runs)]
        held = self._held(wanted)
        for at in range(held, self._runs):
            self._push(wanted[at], window[at : at + self._frames])
        return self._memory.fuse(self._stop - self._runs, window[len(window) // 2])

    def _held(self, wanted: list[tuple[int, ...]]) -> int:
        """How many sets at the end of the ring are those that the window begins with."""
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
    """Memory of one set of features, in float32."""
    sizes = (
        feature.channels * (height // feature.stride) * (width // feature.stride)
        for feature in graph.features
    )
    return 4 * sum(sizes)


def _slack(graph: GraphSpec, height: int, width: int) -> int:
    return min(_SLACK_SLOTS, max(1, _SLACK_BYTES // max(1, set_bytes(graph, height, width))))
