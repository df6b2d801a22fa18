"""Detect frames that reduced precision has corrupted, and recompute them in fp32.

Values that overflow in fp16, or saturate in int8, come out as black (a NaN becomes black) or as
white, over the receptive field of the layers that follow. So a region counts as corrupted if all
of the result there is black, or all of it white, in some channel, while the input there is far
from that:

    input, 3x3 LR pixels     210 208 209        result, all 3s x 3s of them      0 0 0 0 0 0 ...
                             211 205 207                                         0 0 0 0 0 0 ...
                             209 210 208                                         ...

Real black is black in the input, too, and a line thinner than an LR pixel never fills the area of
nine; bicubic upscaling would show both. A single corrupted pixel is not detected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.errors import VsrcError
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.windows.session import FrameCachingSession, Session
from vsrc.runtime.windows.state_session import StateSession

AWAY_SHARE = 32 / 255
"""Least distance of all LR pixels of a region from black or white, as a share of the range."""

_BAND_SAMPLES = 1 << 16
"""LR samples of one channel that are checked at once: masks of that size stay in the cache, and are
allocated without asking the system for memory."""


@dataclass(frozen=True, eq=False)
class GuardedPictures:
    """The output frames of one window.

    Attributes:
        pictures: Frames, `(K, sH, sW, 3)`.
        recomputed_indices: Indices of the frames that were recomputed in fp32.
        corrupted_indices: Indices of the frames that are corrupted and could not be recomputed.
    """

    pictures: Pixels
    recomputed_indices: frozenset[int] = frozenset()
    corrupted_indices: frozenset[int] = frozenset()


class Guard:
    """Checks every output frame.

    Attributes:
        notes: Lines to report to the user.
    """

    def __init__(self, exact: Callable[[], Session]) -> None:
        """Args: `exact` opens the network in fp32; called at the first corrupted frame."""
        self._exact = exact
        self._session: Session | None = None
        self._is_there = True
        self.notes: list[str] = []

    def check(
        self,
        lr: Pixels,
        keys: tuple[int, ...],
        made: Pixels,
        wanted: Iterable[int],
        *,
        session: Session | None = None,
    ) -> GuardedPictures:
        """Check the output frames of one window and recompute the corrupted ones.

        Args:
            lr: Input window, `(T, H, W, 3)`.
            keys: Key of each input frame.
            made: Output frames, `(K, sH, sW, 3)`: one, or 2T - 1 with those in between.
            wanted: Indices of the output frames that are used.
            session: Session that made them; if it carries a state, that is recomputed, too.
        """
        corrupted = [at for at in wanted if is_corrupted(made[at], _select_seen(lr, at, len(made)))]
        if not corrupted:
            return GuardedPictures(made)
        exact = self._opened()
        if exact is None:
            return GuardedPictures(made, corrupted_indices=frozenset(corrupted))
        if isinstance(session, StateSession) and isinstance(exact, StateSession):
            again = session.redo(exact, lr[None])
        elif isinstance(exact, FrameCachingSession):
            again = exact.keyed(lr[None], [keys])
        else:
            again = exact(lr[None])
        guarded = made.copy()
        guarded[corrupted] = again.reshape(made.shape)[corrupted]
        return GuardedPictures(guarded, recomputed_indices=frozenset(corrupted))

    def _opened(self) -> Session | None:
        if self._session is None and self._is_there:
            try:
                self._session = self._exact()
            except VsrcError as error:
                self._is_there = False
                self.notes.append(
                    f"frames came out black or white where the input is neither, and could not be "
                    f"recomputed in fp32: {error}"
                )
        return self._session


def is_corrupted(sr: Pixels, lr: Sequence[Pixels]) -> bool:
    """Whether a frame has a region that is black or white and should not be; see above.

    Args:
        sr: Output frame, `(sH, sW, 3)`.
        lr: Input frames at that time, `(H, W, 3)` each: one, or the two on either side.
    """
    height, width = lr[0].shape[:2]
    scale = sr.shape[0] // height
    if min(height, width) < 3:
        return False
    blocks = sr.reshape(height, scale, width, scale, 3)
    rows = max(1, _BAND_SAMPLES // width)
    return any(
        _has_corrupted_place(
            blocks[start : start + rows + 2, ..., channel],
            [frame[start : start + rows + 2, :, channel] for frame in lr],
        )
        for start in range(0, height - 2, rows)
        for channel in range(3)
    )


def _has_corrupted_place(blocks: Pixels, lr: Sequence[Pixels]) -> bool:
    """Whether one channel of a band of rows has a 3x3 place that is black or white and should not.

    Args:
        blocks: Output, `(h, s, W, s)`.
        lr: Input at the same place, `(h, W)` each.
    """
    scale, white = blocks.shape[1], int(np.iinfo(blocks.dtype).max)
    away = int(AWAY_SHARE * white)
    # Check one pixel of each block first: a full check is hardly ever needed.
    picked = np.ascontiguousarray(blocks[:, scale // 2, :, scale // 2])
    for bound in (0, white):
        hit = picked == bound
        if not _fills_a_place(hit):
            continue
        for frame in lr:
            hit &= frame > away if bound == 0 else frame < white - away
        if _fills_a_place(hit) and _fills_a_place((blocks == bound).all(axis=(1, 3)) & hit):
            return True
    return False


def _fills_a_place(mask: NDArray[np.bool_]) -> bool:
    """Whether any 3x3 place of `(h, W)` is all set."""
    rows = mask[:-2] & mask[1:-1]
    rows &= mask[2:]
    return bool(rows.any()) and bool((rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:]).any())


def _select_seen(lr: Pixels, at: int, pictures: int) -> list[Pixels]:
    """Select the input frames that output frame `at` shows, or lies between."""
    if pictures == 1:
        return [lr[len(lr) // 2]]
    return [lr[at // 2], lr[(at + 1) // 2]]
