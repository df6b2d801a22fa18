"""Marks where new shots begin, so that no window looks across a cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.cuts import CutDetector
from vsrc.runtime.pixels import Pixels, to_8_bits
from vsrc.runtime.stamped import SourceFrame

_WEIGHTS = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
"""Luma of BT.709; for finding cuts the difference to BT.601 is nothing."""

_SAMPLES = 144
"""Rows and columns that are kept of a frame, at least: the detector reduces further."""


def mark_shots(frames: Iterable[SourceFrame]) -> Iterator[SourceFrame]:
    """Set `starts_shot` on each frame that does not continue the one before."""
    detector = CutDetector()
    for frame in frames:
        yield replace(frame, starts_shot=True) if detector.feed(_luma(frame.rgb)) else frame


def _luma(rgb: Pixels) -> NDArray[np.uint8]:
    """`(h, w)` uint8 of every n-th pixel of `(H, W, 3)`, uint8 or uint16."""
    down, right = (max(1, size // _SAMPLES) for size in rgb.shape[:2])
    return (to_8_bits(rgb[::down, ::right]) @ _WEIGHTS + 0.5).astype(np.uint8)
