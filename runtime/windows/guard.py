"""Frames that reduced precision has spoilt are noticed, and restored again in fp32.

What overflows in half precision, or saturates in int8, comes out as nothing (a NaN becomes black)
or as too much, over as much of the picture as the next convolutions see. So a place is spoilt if
all of the result around it is black, or all of it white, in some channel, while the input there is
far from that:

    input, 3x3 LR pixels     210 208 209        result, all 3s x 3s of them      0 0 0 0 0 0 ...
                             211 205 207                                         0 0 0 0 0 0 ...
                             209 210 208                                         ...

Real black is black in the input, too, and a line that is thinner than an LR pixel never fills the
place of nine; the bicubic of the input would show both. One spoilt pixel by itself is not noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.errors import VsrcError
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.windows.session import FrameCachingSession, Session

_AWAY = 32 / 255
"""How far all LR pixels of a place are from black or white for it to be spoilt, of the range."""


@dataclass(frozen=True, eq=False)
class GuardedPictures:
    """The pictures of one window.

    Attributes:
        pictures: `(K, sH, sW, 3)`.
        redone: Which of them were restored again.
        spoilt: Which of them are spoilt, and could not be.
    """

    pictures: Pixels
    redone: frozenset[int] = frozenset()
    spoilt: frozenset[int] = frozenset()


class Guard:
    """Looks at every frame that is made.

    Attributes:
        notes: What the user should know.
    """

    def __init__(self, exact: Callable[[], Session]) -> None:
        """Args: `exact` opens the network in fp32; asked for at the first spoilt frame."""
        self._exact = exact
        self._session: Session | None = None
        self._is_there = True
        self.notes: list[str] = []

    def check(
        self, lr: Pixels, keys: tuple[int, ...], made: Pixels, wanted: Iterable[int]
    ) -> GuardedPictures:
        """The pictures of one window, those that were spoilt made again.

        Args:
            lr: `(T, H, W, 3)`.
            keys: Of its frames.
            made: `(K, sH, sW, 3)`: one picture, or 2T - 1 at times between the frames.
            wanted: Those that are used.
        """
        spoilt = [at for at in wanted if is_spoilt(made[at], _select_seen(lr, at, len(made)))]
        if not spoilt:
            return GuardedPictures(made)
        session = self._opened()
        if session is None:
            return GuardedPictures(made, spoilt=frozenset(spoilt))
        if isinstance(session, FrameCachingSession):
            again = session.keyed(lr[None], [keys])
        else:
            again = session(lr[None])
        guarded = made.copy()
        guarded[spoilt] = again.reshape(made.shape)[spoilt]
        return GuardedPictures(guarded, redone=frozenset(spoilt))

    def _opened(self) -> Session | None:
        if self._session is None and self._is_there:
            try:
                self._session = self._exact()
            except VsrcError as error:
                self._is_there = False
                self.notes.append(
                    f"frames came out black or white where the input is neither, and fp32 is not "
                    f"there to restore them again: {error}"
                )
        return self._session


def is_spoilt(sr: Pixels, lr: Sequence[Pixels]) -> bool:
    """Whether a picture has a place that is black or white and should not be; see above.

    Args:
        sr: `(sH, sW, 3)`.
        lr: The input at that time, `(H, W, 3)` each: one frame, or the two that it lies between.
    """
    height, width = lr[0].shape[:2]
    scale = sr.shape[0] // height
    if min(height, width) < 3:
        return False
    white = int(np.iinfo(sr.dtype).max)
    away = int(_AWAY * white)
    # One pixel of each block tells whether a closer look is worth it; it hardly ever is.
    picked = np.ascontiguousarray(sr[scale // 2 :: scale, scale // 2 :: scale])
    for bound in (0, white):
        hit = picked == bound
        if not _fills_a_place(hit):
            continue
        for frame in lr:
            hit &= frame > away if bound == 0 else frame < white - away
        if not _fills_a_place(hit):
            continue
        blocks = sr.reshape(height, scale, width, scale, 3)
        if _fills_a_place((blocks == bound).all(axis=(1, 3)) & hit):
            return True
    return False


def _fills_a_place(mask: NDArray[np.bool_]) -> bool:
    """Whether all of any 3x3 pixels of `(H, W, 3)` are set in a channel."""
    rows = mask[:-2] & mask[1:-1] & mask[2:]
    return bool((rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:]).any())


def _select_seen(lr: Pixels, at: int, pictures: int) -> list[Pixels]:
    """Frames of a window that picture `at` shows, or lies between."""
    if pictures == 1:
        return [lr[len(lr) // 2]]
    return [lr[at // 2], lr[(at + 1) // 2]]
