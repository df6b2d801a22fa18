"""Run frames through the network: windows in, upscaled frames out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vsrc.runtime.decode.frame import ResultFrame, SourceFrame
from vsrc.runtime.encode.kept_states import KeptStates
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.picture.device_planes import Surface
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.spec import NetworkSpec
from vsrc.runtime.windows.doubling import iter_doubled_windows
from vsrc.runtime.windows.guard import Guard, GuardedPictures
from vsrc.runtime.windows.session import (
    AsyncSession,
    DeviceUpscaler,
    FrameCachingSession,
    PendingPixels,
    Session,
)
from vsrc.runtime.windows.sliding import Slot, Window, iter_windows
from vsrc.runtime.windows.state_session import StateSession

WARM_UP = 24
"""Number of frames for which a state of zeros is fed before the first result, where reading starts
within a shot: an excerpt, or a piece of a video that several machines share."""


def upscale_frames(
    frames: Iterable[SourceFrame],
    session: Session,
    *,
    batch: int = 1,
    is_kept: Callable[[int], bool] | None = None,
    first: int = 0,
    guard: Guard | None = None,
    kept_states: KeptStates | None = None,
    on_device: DeviceUpscaler | None = None,
) -> Iterator[ResultFrame]:
    """Upscale frames one after another.

    Args:
        frames: Frames in display order; those that are not `wanted` are only fed as neighbours.
        session: Network to run.
        batch: Number of windows fed at once.
        is_kept: Whether the n-th result already exists, from an earlier run.
        first: Number of the first result.
        guard: Checks every frame that is computed.
        kept_states: States from an earlier run, for a network that carries one.
        on_device: The same network for windows of frames that are on a device, one at a time;
            their results stay there.

    Yields:
        The results in order, and the packets of frames without a result.

    Raises:
        MismatchError: `batch` is above 1 and the network carries a state.
    """
    network = session.network
    if network.time_scale == 2:
        windows = iter_doubled_windows(frames, size=network.window)
    else:
        windows = iter_windows(frames, radius=network.radius, lookahead=network.lookahead)
    if is_kept is not None:
        windows = _without_kept(windows, is_kept, first)
    waits = False
    if isinstance(session, StateSession):
        check_batch(network, batch)
        windows = _with_state(windows, session, kept_states, first)
        waits = guard is not None  # a corrupted state is replaced before it is used
    begun: deque[_Begun] = deque()
    for group in _groups(windows, batch):
        begun.append(_begin(group, session, on_device))
        while len(begun) > (0 if waits else _ahead(session)):  # it changes with the lanes
            yield from _end(begun.popleft(), session, guard)
    while begun:
        yield from _end(begun.popleft(), session, guard)


def neighbours(network: NetworkSpec) -> int:
    """Number of frames on each side that the window of a frame holds."""
    return network.window - 1 if network.time_scale == 2 else network.radius


def frames_before(network: NetworkSpec) -> int:
    """Number of frames to read before the first result where reading starts within a shot."""
    return neighbours(network) + (WARM_UP if network.state else 0)


def describe_warm_up(network: NetworkSpec) -> str:
    """Describe for the user how a run that starts within a shot differs from one over all of it."""
    return (
        f"{network.name} is recurrent, and this starts within a shot: up "
        f"to {WARM_UP} frames before it are computed, too, and the first frames may differ in "
        "single values from those of a run over the whole shot (docs/infer.md)"
    )


def check_batch(network: NetworkSpec, batch: int) -> None:
    """Raise if several windows of a clip cannot be fed at once.

    Raises:
        MismatchError: `batch` is above 1 and the network carries a state.
    """
    if network.state and batch > 1:
        raise MismatchError(
            f"{batch=}: {network.name} carries a state from frame to frame, so the frames of a "
            "clip follow one another; use --batch 1"
        )


def window_step(network: NetworkSpec) -> int:
    """Number of frames between the starts of two consecutive windows of a shot."""
    return network.window - 1 if network.time_scale == 2 else 1


def _with_state(
    windows: Iterable[Window],
    session: StateSession,
    kept_states: KeptStates | None,
    number: int,
) -> Iterator[Window]:
    """Set the state of the session for each window before it is yielded."""
    is_first, had_wanted = True, False
    for window in windows:
        (slot,) = window.slots
        if is_first or slot.starts_shot:
            session.forget()
        moves = not had_wanted  # frames before the first result prepare its state
        if slot.wanted:
            had_wanted = True
            if kept_states is not None:
                moves = kept_states.reach(
                    number,
                    session,
                    starts_shot=slot.starts_shot,
                    is_missing=slot.is_missing,
                )
            number += 1
        is_first = False
        yield replace(window, moves_state=moves)


def _without_kept(
    windows: Iterable[Window], is_kept: Callable[[int], bool], number: int
) -> Iterator[Window]:
    """Mark results that already exist as kept, so that they are not computed again."""
    for window in windows:
        slots = []
        for slot in window.slots:
            slots.append(replace(slot, is_kept=slot.wanted and is_kept(number)))
            number += slot.wanted
        yield replace(window, slots=tuple(slots))


def _groups(windows: Iterable[Window], batch: int) -> Iterator[list[Window]]:
    """Group windows into batches, counted from the start of each shot.

    The composition of a batch may change the last bit of a GPU's result. Counted in this way, it
    does not depend on which results already exist.
    """
    group: list[Window] = []
    for window in windows:
        if batch == 1:
            yield [window]
            continue
        if group and window.slots[0].starts_shot:
            yield group
            group = []
        group.append(replace(window, lr=window.lr.copy()))  # the view will be overwritten
        if len(group) == batch:
            yield group
            group = []
    if group:
        yield group


@dataclass(frozen=True, eq=False)
class _Begun:
    """Windows that were started.

    Attributes:
        group: Windows, with the slots of their results.
        lr: Input, `(N, T, H, W, 3)`; None if all results of the single window exist.
        pending: Function that waits for the result, `(N, K, sH, sW, 3)`.
        surface: Function that waits for the result on a device, of the only window, and for
            whether it is one; None if it is computed in host memory at once.
    """

    group: list[Window]
    lr: Pixels | None
    pending: PendingPixels
    surface: Callable[[], Surface | None] | None = None


def _begin(
    group: list[Window], session: Session, on_device: DeviceUpscaler | None = None
) -> _Begun:
    has_missing = any(slot.is_missing for window in group for slot in window.slots)
    if not has_missing and not any(window.moves_state for window in group):
        return _Begun(group, None, lambda: np.empty(0, np.uint8))
    lr = group[0].lr[None] if len(group) == 1 else np.stack([window.lr for window in group])
    if _ahead(session):
        lr = lr.copy()  # a view that is overwritten before its result is available
    keys = [window.keys for window in group]
    if on_device is not None and len(group) == 1 and group[0].resident:
        surface = on_device.start(group[0].resident)
        return _Begun(group, lr, lambda: _pictures(lr, keys, session)(), surface)
    return _Begun(group, lr, _pictures(lr, keys, session))


def _end(begun: _Begun, session: Session, guard: Guard | None) -> Iterator[ResultFrame]:
    if begun.lr is None:
        for window in begun.group:
            for slot in window.slots:
                yield _result(slot)
        return
    surface = begun.surface() if begun.surface is not None else None
    if surface is not None:
        (slot,) = begun.group[0].slots
        yield replace(_result(slot), surface=surface)
        return
    for window, fed, made in zip(begun.group, begun.lr, begun.pending(), strict=True):
        missing = [slot.index for slot in window.slots if slot.is_missing]
        guarded = GuardedPictures(made)
        if guard is not None:
            guarded = guard.check(fed, window.keys, made, missing, session=session)
        for slot in window.slots:
            yield _result(slot, guarded if slot.is_missing else None)


def _ahead(session: Session) -> int:
    return session.ahead if isinstance(session, AsyncSession) else 0


def _result(slot: Slot, guarded: GuardedPictures | None = None) -> ResultFrame:
    return ResultFrame(
        None if guarded is None else guarded.pictures[slot.index],
        slot.pts,
        slot.duration,
        slot.packets,
        slot.name,
        slot.is_kept,
        slot.starts_shot,
        is_recomputed=guarded is not None and slot.index in guarded.recomputed_indices,
        is_corrupted=guarded is not None and slot.index in guarded.corrupted_indices,
        carrier=slot.carrier,
    )


def _pictures(lr: Pixels, keys: Sequence[tuple[int, ...]], session: Session) -> PendingPixels:
    """Start `(N, T, H, W, 3)` to `(N, K, sH, sW, 3)`: K frames per window, 1 or 2T - 1."""
    if isinstance(session, AsyncSession):
        pending = session.start(lr, keys)
        return lambda: _check_pictures(pending(), lr, session)
    sr = session.keyed(lr, keys) if isinstance(session, FrameCachingSession) else session(lr)
    return lambda: _check_pictures(sr, lr, session)


def _check_pictures(sr: Pixels, lr: Pixels, session: Session) -> Pixels:
    """Check dtype and shape of the output, and give the frames of a window their own axis."""
    network = session.network
    count, window, height, width, _ = lr.shape
    picture = (height * network.scale, width * network.scale, 3)
    if network.time_scale == 1:
        expected: tuple[int, ...] = (count, *picture)
    else:
        expected = (count, 2 * window - 1, *picture)
    if sr.shape != expected or sr.dtype != lr.dtype:
        raise MismatchError(
            f"{session.label} returned {sr.dtype} {sr.shape} for {lr.shape}; {network.name} x"
            f"{network.scale} should return {lr.dtype} {expected}: export the package again"
        )
    return sr.reshape(count, -1, *picture)
