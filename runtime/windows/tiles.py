"""Feed frames in tiles that overlap by the receptive field, so that seams do not show.

    start 0           start 1              each tile is computed with `halo` pixels around what is
    |---------tile 0---------|             kept of it; at the edges of the frame there is no halo,
    |    kept        | halo  |             and the network pads as it does for the whole frame
             |---------tile 1---------|
             | halo  |    kept        |

Starts are multiples of the network's `size_multiple`, so that every level of a pyramid falls on
the same pixels as in the whole frame.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vsrc.runtime.errors import DeviceMemoryError
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.spec import NetworkSpec
from vsrc.runtime.windows.graph_io import pad_to_fit
from vsrc.runtime.windows.lane_choice import LaneChoice, ParallelSession
from vsrc.runtime.windows.session import AsyncSession, FrameCachingSession, PendingPixels, Session

logger = logging.getLogger(__name__)

QUEUE_DEPTH = 4
"""Usual depth of the queue of upscaled pictures."""


@dataclass(frozen=True)
class Span:
    """One tile along one axis, LR pixels, as half-open ranges.

    Attributes:
        start: First pixel that is fed.
        stop: Pixel after the last one that is fed.
        keep_start: First pixel whose result is kept.
        keep_stop: Pixel after the last one whose result is kept.
    """

    start: int
    stop: int
    keep_start: int
    keep_stop: int

    def fed(self, down: int = 1) -> slice:
        """What is fed, in a map that is smaller than the frame by `down`."""
        return slice(self.start // down, self.stop // down)

    def kept(self, up: int, down: int = 1) -> slice:
        """The kept part in the result of the tile, which is `up / down` times as large."""
        first, last = self.keep_start - self.start, self.keep_stop - self.start
        return slice(first * up // down, last * up // down)

    def place(self, up: int, down: int = 1) -> slice:
        """The kept part in the whole result, which is `up / down` times as large as the frame."""
        return slice(self.keep_start * up // down, self.keep_stop * up // down)


def rounded_halo(network: NetworkSpec) -> int:
    """Context that a tile needs on each side: the halo, rounded up to the size multiple."""
    return -(-network.halo // network.size_multiple) * network.size_multiple


def spans(size: int, *, tile: int, halo: int, multiple: int) -> list[Span]:
    """Split an axis into tiles of one length whose kept parts cover it exactly once.

    Args:
        size: Length of the axis, LR pixels, a multiple of `multiple`.
        tile: Length of a tile with its halo, LR pixels; rounded down to a multiple.
        halo: Context on each side, LR pixels; rounded up to a multiple.
        multiple: Divisor of all starts and lengths, LR pixels.

    Raises:
        ValueError: The tile is not larger than its halo.
    """
    halo = -(-halo // multiple) * multiple
    tile = tile // multiple * multiple
    if tile >= size:
        return [Span(0, size, 0, size)]
    step = tile - 2 * halo
    if step < multiple:
        raise ValueError(
            f"{tile=} must exceed twice the receptive field ({2 * halo} LR pixels) by {multiple}"
        )
    starts = [*range(0, size - tile, step), size - tile]
    edges = [0, *(start + halo for start in starts[1:]), size]
    return [Span(start, start + tile, edges[at], edges[at + 1]) for at, start in enumerate(starts)]


def iter_tiles(
    height: int, width: int, *, tile: int, network: NetworkSpec
) -> Iterator[tuple[Span, Span]]:
    """Yield rows and columns of each tile of a frame whose sides are multiples of the network's."""
    down, across = (
        spans(size, tile=tile, halo=network.halo, multiple=network.size_multiple)
        for size in (height, width)
    )
    for rows in down:
        for columns in across:
            yield rows, columns


def halve_tile(tile: int, side: int, error: DeviceMemoryError) -> tuple[int, str]:
    """Choose a smaller tile after running out of memory, and log it.

    Args:
        tile: Side of the tile that was too large, LR pixels; 0 for a whole frame.
        side: Longer side of the frame, LR pixels.
        error: What was raised.

    Returns:
        Side of the next tile, and a line for the user.
    """
    half = (min(tile, side) if tile else side) // 2
    note = f"out of memory ({error}); continuing with tiles of {half} pixels"
    logger.info("%s", note)
    return half, note


class TiledSession:
    """A session that feeds another one tile by tile, with smaller tiles if memory runs out.

    Attributes:
        tile: Side of a tile with its halo, LR pixels; 0 for the whole frame.
        notes: Lines to report to the user.
        queue: Depth of the queue that its results go to.
    """

    def __init__(self, session: Session, *, tile: int = 0) -> None:
        self._session = session
        self.label, self.network, self.graph = session.label, session.network, session.graph
        self.tile = tile
        self.notes: list[str] = []
        self.queue = QUEUE_DEPTH
        self._halved = False

    @property
    def ahead(self) -> int:
        """Number of windows to start before the first is waited for; see `AsyncSession`."""
        return self._session.ahead if isinstance(self._session, AsyncSession) else 0

    @property
    def at_once(self) -> int:
        """Number of windows computed at the same time; see `AsyncSession`."""
        return self._session.at_once if isinstance(self._session, AsyncSession) else 1

    @property
    def lane_choice(self) -> LaneChoice | None:
        """Division of the CPU threads among windows; None on other devices."""
        session = self._session
        return session.lane_choice if isinstance(session, ParallelSession) else None

    def __call__(self, lr: Pixels, /) -> Pixels:
        """Upscale windows; see `Session`."""
        return self._upscale(lr, None, 0)

    def keyed(self, lr: Pixels, keys: Sequence[tuple[int, ...]], *, place: Hashable = 0) -> Pixels:
        """Upscale windows whose frames have keys; see `FrameCachingSession`."""
        return self._upscale(lr, keys, place)

    def start(
        self, lr: Pixels, keys: Sequence[tuple[int, ...]] | None = None, *, place: Hashable = 0
    ) -> PendingPixels:
        """Begin to upscale windows; see `AsyncSession`. With tiles it waits for the result."""
        if self.tile:
            made = self._upscale(lr, keys, place)
            return lambda: made
        try:
            pending = self._begun(lr, keys, place)
        except DeviceMemoryError as error:
            made = self._in_halves(lr, keys, place, error)
            return lambda: made

        def finish() -> Pixels:
            try:
                return pending()
            except DeviceMemoryError as error:
                return self._in_halves(lr, keys, place, error)

        return finish

    def close(self) -> None:
        """Close the session that is fed."""
        self._session.close()

    def _upscale(
        self, lr: Pixels, keys: Sequence[tuple[int, ...]] | None, place: Hashable
    ) -> Pixels:
        try:
            return self._in_tiles(lr, keys, place)
        except DeviceMemoryError as error:
            if self._halved:
                raise
            self._halve(max(lr.shape[2:4]), error)
            return self._in_tiles(lr, keys, place)

    def _in_halves(
        self,
        lr: Pixels,
        keys: Sequence[tuple[int, ...]] | None,
        place: Hashable,
        error: DeviceMemoryError,
    ) -> Pixels:
        """Upscale windows that did not fit in memory whole; several pending ones may come here."""
        if not self.tile:
            self._halve(max(lr.shape[2:4]), error)
        return self._upscale(lr, keys, place)

    def _halve(self, side: int, error: DeviceMemoryError) -> None:
        self._halved = True
        self.tile, note = halve_tile(self.tile, side, error)
        self.notes.append(note)

    def _in_tiles(
        self, lr: Pixels, keys: Sequence[tuple[int, ...]] | None, place: Hashable
    ) -> Pixels:
        if not self.tile:
            return self._begun(lr, keys, place)()
        network = self.network
        padded = pad_to_fit(lr, multiple=network.size_multiple)
        sr: Pixels | None = None
        for rows, columns, made in self._made(padded, keys, place):
            if sr is None:
                sides = (side * network.scale for side in padded.shape[2:4])
                sr = np.empty((*made.shape[:-3], *sides, 3), made.dtype)
            kept = made[..., rows.kept(network.scale), columns.kept(network.scale), :]
            sr[..., rows.place(network.scale), columns.place(network.scale), :] = kept
        assert sr is not None
        height, width = lr.shape[2:4]
        return sr[..., : height * network.scale, : width * network.scale, :]

    def _made(
        self, padded: Pixels, keys: Sequence[tuple[int, ...]] | None, place: Hashable
    ) -> Iterator[tuple[Span, Span, Pixels]]:
        """Yield each tile with its result; on a device the next tiles are started before."""
        begun: deque[tuple[Span, Span, PendingPixels]] = deque()
        height, width = padded.shape[2:4]
        for rows, columns in iter_tiles(height, width, tile=self.tile, network=self.network):
            part = padded[:, :, rows.fed(), columns.fed()]
            pending = self._begun(part, keys, (place, rows.start, columns.start))
            begun.append((rows, columns, pending))
            while len(begun) > self.ahead:
                yield _wait(*begun.popleft())
        while begun:
            yield _wait(*begun.popleft())

    def _begun(
        self, lr: Pixels, keys: Sequence[tuple[int, ...]] | None, place: Hashable
    ) -> PendingPixels:
        if isinstance(self._session, AsyncSession):
            return self._session.start(lr, keys, place=place)
        if keys is not None and isinstance(self._session, FrameCachingSession):
            made = self._session.keyed(lr, keys, place=place)
        else:
            made = self._session(np.ascontiguousarray(lr))
        return lambda: made


def _wait(rows: Span, columns: Span, pending: PendingPixels) -> tuple[Span, Span, Pixels]:
    return rows, columns, pending()
