"""Frames fed in parts that overlap by the receptive field, so that the parts make the whole.

    start 0           start 1              each tile is computed with `halo` pixels around what is
    |---------tile 0---------|             kept of it; at the edges of the picture there is nothing
    |    kept        | halo  |             to compute, and the network pads as it pads the whole
             |---------tile 1---------|
             | halo  |    kept        |

Starts are multiples of what the network wants its sides to be multiples of, so that every level of
a pyramid falls on the same pixels as in the whole picture.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vsrc.runtime.errors import DeviceMemoryError
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.windows.graph_io import pad_to_fit
from vsrc.runtime.windows.session import AsyncSession, FrameCachingSession, PendingPixels, Session

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Span:
    """One tile along one axis, LR pixels, half open.

    Attributes:
        start: First pixel that is fed.
        stop: Behind the last one.
        keep_start: First pixel whose result is kept.
        keep_stop: Behind the last one.
    """

    start: int
    stop: int
    keep_start: int
    keep_stop: int


def spans(size: int, *, tile: int, halo: int, multiple: int) -> list[Span]:
    """Tiles of one length whose kept parts cover an axis once.

    Args:
        size: Length of the axis, a multiple of `multiple`.
        tile: Length of a tile with its halo; rounded down to a multiple.
        halo: Context on each side; rounded up to a multiple.
        multiple: What starts and lengths are multiples of.

    Raises:
        ValueError: The tile is nothing but halo.
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


class TiledSession:
    """A session that feeds another one tile by tile, and takes smaller ones if memory runs out.

    Attributes:
        ahead: Windows worth having under way beside the newest; see `AsyncSession`.
        at_once: Likewise.
        tile: Longest side that is fed, LR pixels with halo; 0 for the whole picture.
        notes: What the user should know.
    """

    def __init__(self, session: Session, *, tile: int = 0) -> None:
        self._session = session
        self.label, self.network, self.graph = session.label, session.network, session.graph
        self.ahead, self.at_once = 0, 1
        if isinstance(session, AsyncSession):
            self.ahead, self.at_once = session.ahead, session.at_once
        self.tile = tile
        self.notes: list[str] = []
        self._halved = False

    def __call__(self, lr: Pixels, /) -> Pixels:
        """Restore windows; see `Session`."""
        return self._restore(lr, None, 0)

    def keyed(self, lr: Pixels, keys: Sequence[tuple[int, ...]], *, place: Hashable = 0) -> Pixels:
        """Restore windows whose frames are known; see `FrameCachingSession`."""
        return self._restore(lr, keys, place)

    def start(
        self, lr: Pixels, keys: Sequence[tuple[int, ...]] | None = None, *, place: Hashable = 0
    ) -> PendingPixels:
        """Begin to restore windows; see `AsyncSession`. Tiles are ahead of each other only."""
        if self.tile:
            made = self._restore(lr, keys, place)
            return lambda: made
        try:
            pending = self._begun(lr, keys, place)
        except DeviceMemoryError as error:
            made = self._in_halves(lr, keys, place, error)
            return lambda: made

        def restored() -> Pixels:
            try:
                return pending()
            except DeviceMemoryError as error:
                return self._in_halves(lr, keys, place, error)

        return restored

    def close(self) -> None:
        """Close the session that is fed."""
        self._session.close()

    def _restore(
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
        """A window for which there was no memory as a whole; others under way may say so, too."""
        if not self.tile:
            self._halve(max(lr.shape[2:4]), error)
        return self._restore(lr, keys, place)

    def _halve(self, side: int, error: DeviceMemoryError) -> None:
        self._halved = True
        self.tile = (min(self.tile, side) if self.tile else side) // 2
        note = f"memory ran out ({error}); from there on it is fed in tiles of {self.tile} pixels"
        self.notes.append(note)
        logger.info("%s", note)

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
            kept = made[..., _keep_span(rows, network.scale), _keep_span(columns, network.scale), :]
            sr[..., _goes(rows, network.scale), _goes(columns, network.scale), :] = kept
        assert sr is not None
        height, width = lr.shape[2:4]
        return sr[..., : height * network.scale, : width * network.scale, :]

    def _made(
        self, padded: Pixels, keys: Sequence[tuple[int, ...]] | None, place: Hashable
    ) -> Iterator[tuple[Span, Span, Pixels]]:
        """Each tile and what was made of it; on a device the next ones are begun before."""
        begun: deque[tuple[Span, Span, PendingPixels]] = deque()
        for rows, columns in self._plan(padded.shape[2], padded.shape[3]):
            part = padded[:, :, rows.start : rows.stop, columns.start : columns.stop]
            pending = self._begun(part, keys, (place, rows.start, columns.start))
            begun.append((rows, columns, pending))
            if len(begun) > self.ahead:
                yield _wait(*begun.popleft())
        while begun:
            yield _wait(*begun.popleft())

    def _plan(self, height: int, width: int) -> Iterator[tuple[Span, Span]]:
        network = self.network
        down, across = (
            spans(size, tile=self.tile, halo=network.halo, multiple=network.size_multiple)
            for size in (height, width)
        )
        for rows in down:
            for columns in across:
                yield rows, columns

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


def _keep_span(span: Span, scale: int) -> slice:
    """Of the result of a tile."""
    return slice((span.keep_start - span.start) * scale, (span.keep_stop - span.start) * scale)


def _goes(span: Span, scale: int) -> slice:
    """In the whole result."""
    return slice(span.keep_start * scale, span.keep_stop * scale)
