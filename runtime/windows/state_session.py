"""A session that carries the state of a network from frame to frame.

    frame       0       1       2     | 3        a cut
    state   0 ─ step ─ step ─ step    | 0 ─ step ─

With tiles, each tile cuts its state out of that of the whole frame, and adds the part that it keeps
to the next one. So the halo is the reach of one step only, tiles give what whole frames give, and
their size may change during a video. (A state that stayed within its tile would lack what crosses
the tile's border, one reach further inside at every frame.)
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.errors import DeviceMemoryError, MismatchError
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.spec import GraphSpec, NetworkSpec, StateSpec
from vsrc.runtime.windows.graph_io import pad_to_fit
from vsrc.runtime.windows.session import PendingPixels, RenewableSession, check_windows
from vsrc.runtime.windows.tiles import QUEUE_DEPTH, Span, halve_tile, iter_tiles

StateArrays = dict[str, NDArray[Any]]
"""Name of each map of the state -> its values, `(1, C, h, w)`."""


class CarriedState(Protocol):
    """The state after a frame, in the memory of a backend; valid until the second step after it."""

    def arrays(self) -> StateArrays:
        """Return the maps in host memory; waits until they are computed."""


@dataclass(frozen=True, eq=False)
class HostState:
    """A state in host memory."""

    values: StateArrays

    def arrays(self) -> StateArrays:
        """Return the maps."""
        return self.values


class Steps(Protocol):
    """The graph of a network with a state, loaded by a backend.

    Attributes:
        label: Name of the backend and the precision, for messages.
        network: Properties of the network that its callers need.
        graph: Graph that runs.
        ahead: Number of frames to start before the first is waited for; see `AsyncSession`.
        at_once: Number of frames computed at the same time; see `AsyncSession`.
    """

    label: str
    network: NetworkSpec
    graph: GraphSpec
    ahead: int
    at_once: int

    def step(self, lr: Pixels, state: CarriedState | None, /) -> tuple[PendingPixels, CarriedState]:
        """Begin to upscale one frame.

        Args:
            lr: Its window, `(1, T, H, W, 3)`, of a size that the graph takes.
            state: State after the frame before, for frames of this size; None for zeros.

        Returns:
            Function that waits for the result `(1, sH, sW, 3)`, and the next state.
        """

    def close(self) -> None:
        """Free everything; calling it twice does nothing."""


class StateSession:
    """Upscales the frames of a video in order; see the module and `AsyncSession`.

    Attributes:
        tile: Side of a tile with its halo, LR pixels; 0 for the whole frame.
        notes: Lines to report to the user.
        queue: Depth of the queue that its results go to.
    """

    def __init__(self, steps: Steps, *, tile: int = 0) -> None:
        self.steps = steps
        self.label, self.network, self.graph = steps.label, steps.network, steps.graph
        self.at_once = steps.at_once
        self.tile = tile
        self.notes: list[str] = []
        self.queue = QUEUE_DEPTH
        self._halved = False
        self._state: CarriedState | None = None
        self._before: CarriedState | None = None

    @property
    def ahead(self) -> int:
        """Number of frames to start before the first is waited for; none with tiles."""
        return 0 if self.tile else self.steps.ahead

    def __call__(self, lr: Pixels, /) -> Pixels:
        """Upscale windows, each with a state of zeros; see `Session`. Forgets the state."""
        restored = []
        for window in lr:
            self.forget()
            restored.append(self.start(window[None])())
        self.forget()
        return np.concatenate(restored)

    def keyed(self, lr: Pixels, keys: Sequence[tuple[int, ...]], *, place: Hashable = 0) -> Pixels:
        """Upscale the next frame; see `start`."""
        return self.start(lr, keys, place=place)()

    def start(
        self, lr: Pixels, keys: Sequence[tuple[int, ...]] | None = None, *, place: Hashable = 0
    ) -> PendingPixels:
        """Begin to upscale the next frame, with the state that the one before has left.

        Raises:
            MismatchError: More than one window: frames of a clip can only follow one another.
        """
        del keys, place
        if len(lr) != 1:
            raise MismatchError(
                f"{len(lr)} windows at once: {self.network.name} carries a state from frame to "
                "frame, so the frames of a clip follow one another; use --batch 1"
            )
        least = (self.graph.height[0], self.graph.width[0])
        padded = pad_to_fit(lr, multiple=self.network.size_multiple, least=least)
        pending, following = self._begin(padded)
        self._before, self._state = self._state, following
        height, width = (side * self.network.scale for side in lr.shape[2:4])
        return lambda: pending()[..., :height, :width, :]

    def forget(self) -> None:
        """Begin a shot: the next frame has a state of zeros."""
        self._before = self._state = None

    def state(self) -> StateArrays | None:
        """Copy the state that the last frame has left; None if the next frame starts a shot."""
        return None if self._state is None else self._state.arrays()

    def resume(self, arrays: StateArrays | None) -> None:
        """Continue with a state that `state` returned, here or in another process."""
        self._before = None
        self._state = None if arrays is None else HostState(arrays)

    def redo(self, exact: StateSession, lr: Pixels) -> Pixels:
        """Upscale the last frame again by another session, and continue with its state.

        Args:
            exact: The same network in another precision.
            lr: Window of the frame, as it was given to `start`.
        """
        assert self._state is not None, "a frame was upscaled before"
        kinds = {name: values.dtype for name, values in self._state.arrays().items()}
        before = None if self._before is None else _finite(self._before.arrays())
        exact.resume(before)
        sr = exact.start(lr)()
        following = exact.state()
        assert following is not None
        self._state = HostState(
            {name: values.astype(kinds[name]) for name, values in following.items()}
        )
        return sr

    def tiled(self, tile: int) -> StateSession:
        """Return a session of its own state that runs the same graph on tiles."""
        return StateSession(self.steps, tile=tile)

    def state_bytes(self, height: int, width: int) -> int:
        """Memory of the state after one frame, in float32, bytes."""
        return sum(4 * math.prod(each.shape(height, width)) for each in self.network.state)

    def renew(self) -> None:
        """Drop the state, and memory that the graph keeps; see `RenewableSession`."""
        self.forget()
        if isinstance(self.steps, RenewableSession):
            self.steps.renew()

    def close(self) -> None:
        """Free the graph and the state."""
        self.forget()
        self.steps.close()

    def _begin(self, padded: Pixels) -> tuple[PendingPixels, CarriedState]:
        try:
            return self._begin_tiles(padded) if self.tile else self._step(padded, self._state)
        except DeviceMemoryError as error:
            if self._halved:
                raise
            self._halve(max(padded.shape[2:4]), error)
            return self._begin_tiles(padded)

    def _halve(self, side: int, error: DeviceMemoryError) -> None:
        self._halved = True
        self.tile, note = halve_tile(self.tile, side, error)
        self.notes.append(note)

    def _begin_tiles(self, padded: Pixels) -> tuple[PendingPixels, CarriedState]:
        network = self.network
        height, width = padded.shape[2:4]
        tile = max(self.tile, self.graph.height[0], self.graph.width[0])
        arrays = None if self._state is None else self._state.arrays()
        following: StateArrays = {}
        sr: Pixels | None = None
        for rows, columns in iter_tiles(height, width, tile=tile, network=network):
            part = padded[:, :, rows.fed(), columns.fed()]
            state = None if arrays is None else HostState(_cut(arrays, network, rows, columns))
            pending, after = self._step(part, state)
            made = pending()
            if sr is None:
                sr = np.empty((1, height * network.scale, width * network.scale, 3), made.dtype)
            up = network.scale
            sr[..., rows.place(up), columns.place(up), :] = made[
                ..., rows.kept(up), columns.kept(up), :
            ]
            for each, values in _with_specs(after.arrays(), network):
                shape = each.shape(height, width)
                whole = following.setdefault(each.name, np.empty(shape, values.dtype))
                down = 1, each.stride
                whole[..., rows.place(*down), columns.place(*down)] = values[
                    ..., rows.kept(*down), columns.kept(*down)
                ]
        assert sr is not None
        whole_sr = sr
        return lambda: whole_sr, HostState(following)

    def _step(self, lr: Pixels, state: CarriedState | None) -> tuple[PendingPixels, CarriedState]:
        check_windows(lr, self.network, self.graph)
        return self.steps.step(lr, state)


def _cut(arrays: StateArrays, network: NetworkSpec, rows: Span, columns: Span) -> StateArrays:
    """The state of a tile with its halo."""
    return {
        each.name: np.ascontiguousarray(
            values[..., rows.fed(each.stride), columns.fed(each.stride)]
        )
        for each, values in _with_specs(arrays, network)
    }


def _with_specs(arrays: StateArrays, network: NetworkSpec) -> list[tuple[StateSpec, NDArray[Any]]]:
    return [(each, arrays[each.name]) for each in network.state if each.name in arrays]


def _finite(arrays: StateArrays) -> StateArrays:
    """Replace what overflowed by zeros, and convert to float32, which fp32 graphs take."""
    return {
        name: np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
        for name, values in arrays.items()
    }
