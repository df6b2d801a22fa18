"""Scene cuts, found while the frames go by.

Two measures on thumbnails of luma, both in 0..1: how much the histogram moved, and how much of the
picture is still unexplained after every block was allowed to move a little. A cut changes both at
once; a pan changes the pictures but neither measure, a flash changes the histogram and not the
structure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

VERSION = 1
"""Counts up whenever the same frames may give other cuts, so that stored shots are made again."""

_HEIGHT, _WIDTH = 36, 64


class CutDetector:
    """Says of each frame whether a new shot begins with it; looks at past frames only."""

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None
        self._recent: deque[float] = deque(maxlen=8)

    def feed(self, luma: NDArray[np.uint8], /) -> bool:
        """Take the next frame.

        Args:
            luma: `(H, W)` uint8, any size.

        Returns:
            True when this frame does not continue the one before. The first frame begins the first
            shot and is no cut: False.
        """
        small = thumbnail(luma)
        last, self._last = self._last, small
        if last is None:
            return False
        change = _change(last, small)
        usual = float(np.median(self._recent)) if self._recent else 0.0
        is_cut = change > 0.12 and change > 3 * usual
        if is_cut:
            self._recent.clear()
        else:
            self._recent.append(change)
        return is_cut


def first_frames(frames: Iterable[NDArray[np.uint8]]) -> list[int]:
    """Index of the first frame of each shot; starts with 0. Frames are luma `(H, W)` uint8."""
    detector = CutDetector()
    return [index for index, luma in enumerate(frames) if detector.feed(luma) or index == 0]


def thumbnail(luma: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Means over a grid of at most 36 x 64 blocks, 0..255."""
    for axis, limit in ((0, _HEIGHT), (1, _WIDTH)):
        size = luma.shape[axis]
        # Two samples a block are enough against flicker and cost nothing at 4K.
        skip = max(1, size // (2 * limit))
        luma = luma[::skip] if axis == 0 else luma[:, ::skip]
    rows = np.linspace(0, luma.shape[0], min(_HEIGHT, luma.shape[0]) + 1).astype(int)[:-1]
    columns = np.linspace(0, luma.shape[1], min(_WIDTH, luma.shape[1]) + 1).astype(int)[:-1]
    sums = np.add.reduceat(np.add.reduceat(luma, rows, axis=0, dtype=np.float32), columns, axis=1)
    counts = np.outer(np.diff([*rows, luma.shape[0]]), np.diff([*columns, luma.shape[1]]))
    return np.asarray(sums / counts, dtype=np.float32)


def _change(last: NDArray[np.float32], small: NDArray[np.float32]) -> float:
    return float(np.sqrt(_histogram_change(last, small) * _unexplained(last, small)))


def _histogram_change(last: NDArray[np.float32], small: NDArray[np.float32]) -> float:
    """Half the L1 distance of two 32-bin histograms: 0 equal, 1 disjoint."""
    counts = [np.histogram(frame, bins=32, range=(0, 256))[0] for frame in (last, small)]
    return float(np.abs(counts[0] - counts[1]).sum()) / (2 * small.size)


def _unexplained(last: NDArray[np.float32], small: NDArray[np.float32]) -> float:
    """Mean difference that no shift of up to 2 thumbnail pixels explains, against the contrast."""
    padded = np.pad(last, 2, mode="edge")
    height, width = small.shape
    best = np.full(small.shape, np.inf, dtype=np.float32)
    for down in range(5):
        for right in range(5):
            np.minimum(
                best, np.abs(small - padded[down : down + height, right : right + width]), out=best
            )
    contrast = max(float(last.std()), float(small.std()), 8.0)
    return min(1.0, float(best.mean()) / contrast)
