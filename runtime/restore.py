"""Frames through the network: windows in, restored frames out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from vsrc.runtime.doubling import doubled
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.session import KeyedSession, Session
from vsrc.runtime.spec import NetworkSpec
from vsrc.runtime.stamped import ResultFrame, SourceFrame
from vsrc.runtime.windows import Slot, Window, centred


def restored(
    frames: Iterable[SourceFrame], session: Session, *, batch: int = 1, kept: int = 0
) -> Iterator[ResultFrame]:
    """Restore frames one after another.

    Args:
        frames: In order; those that are not wanted are neighbours only.
        session: The network.
        batch: Windows fed at once.
        kept: How many results, from the first on, are there already.

    Yields:
        The results in order, and the packets of frames that have none.
    """
    network = session.network
    if network.time_scale == 2:
        windows = doubled(frames, size=network.window)
    else:
        windows = centred(frames, radius=network.radius)
    if kept:
        windows = _without_kept(windows, kept)
    for group in _groups(windows, batch):
        yield from _run(group, session)


def neighbours(network: NetworkSpec) -> int:
    """How many frames before and after a frame can change what is made of it."""
    return network.window - 1 if network.time_scale == 2 else network.radius


def _without_kept(windows: Iterable[Window], kept: int) -> Iterator[Window]:
    """Windows whose first results need not be made."""
    for window in windows:
        slots = []
        for slot in window.slots:
            slots.append(replace(slot, is_kept=slot.wanted and kept > 0))
            kept -= slot.wanted
        yield replace(window, slots=tuple(slots))


def _groups(windows: Iterable[Window], batch: int) -> Iterator[list[Window]]:
    """Windows that are fed together; those of which nothing is missing go alone."""
    group: list[Window] = []
    for window in windows:
        if batch == 1 or not any(slot.is_missing for slot in window.slots):
            if group:
                yield group
                group = []
            yield [window]
            continue
        group.append(replace(window, lr=window.lr.copy()))  # the view will be overwritten
        if len(group) == batch:
            yield group
            group = []
    if group:
        yield group


def _run(group: list[Window], session: Session) -> Iterator[ResultFrame]:
    if not any(slot.is_missing for window in group for slot in window.slots):
        for slot in group[0].slots:
            yield _result(slot, None)
        return
    lr = group[0].lr[None] if len(group) == 1 else np.stack([window.lr for window in group])
    keys = [window.keys for window in group]
    for window, pictures in zip(group, _pictures(lr, keys, session), strict=True):
        for slot in window.slots:
            yield _result(slot, pictures[slot.index] if slot.is_missing else None)


def _result(slot: Slot, rgb: Pixels | None) -> ResultFrame:
    return ResultFrame(rgb, slot.pts, slot.duration, slot.packets, slot.name, slot.is_kept)


def _pictures(lr: Pixels, keys: Sequence[tuple[int, ...]], session: Session) -> Pixels:
    """`(N, K, sH, sW, 3)` from `(N, T, H, W, 3)`: K pictures of each window, 1 or 2T - 1."""
    network = session.network
    sr = session.keyed(lr, keys) if isinstance(session, KeyedSession) else session(lr)
    count, window, height, width, _ = lr.shape
    picture = (height * network.scale, width * network.scale, 3)
    if network.time_scale == 1:
        expected: tuple[int, ...] = (count, *picture)
    else:
        expected = (count, 2 * window - 1, *picture)
    if sr.shape != expected or sr.dtype != lr.dtype:
        raise MismatchError(
            f"{session.label} gave {sr.dtype} {sr.shape} for {lr.shape}; {network.name} x"
            f"{network.scale} should give {lr.dtype} {expected}: export the package again"
        )
    return sr.reshape(count, -1, *picture)
