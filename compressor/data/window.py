"""A crop of a clip: consecutive frames, and a rectangle of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vsrc.compressor.data.library import LibraryClip
from vsrc.compressor.data.real import degrade_real, draw_real
from vsrc.runtime.picture.fast_resize import Planes

_MARGIN = 8
"""LR pixels around a window that are degraded with it and cut away, against border artefacts."""


@dataclass(frozen=True)
class CropWindow:
    """Frames `[start, stop)`, with rows and columns in LR pixels."""

    start: int
    stop: int
    top: int
    left: int
    height: int
    width: int


def cut(
    clip: LibraryClip, window: CropWindow, *, scale: int, rng: np.random.Generator
) -> tuple[Planes, Planes]:
    """Cut LR and HR of a window, `(L, 3, h, w)` and `(L, 3, s*h, s*w)` uint8; views where possible.

    Args:
        clip: Clip to cut from.
        window: Frames, rows and columns to cut.
        scale: HR/LR side ratio.
        rng: Random generator of the degradation, for a clip without LR frames in the cache.
    """
    time = slice(window.start, window.stop)
    rows = slice(window.top, window.top + window.height)
    columns = slice(window.left, window.left + window.width)
    frames = clip.hr_frames(scale)
    hr = frames[time, :, _times(rows, scale), _times(columns, scale)]
    if (low := clip.lr_frames(scale)) is not None:
        return low[time, :, rows, columns], hr
    draw = draw_real(rng, scale=scale)
    wide_time = slice(max(0, time.start - draw.before), time.stop + draw.after)
    wide_rows, wide_columns = _wider(rows), _wider(columns)
    wide = frames[wide_time, :, _times(wide_rows, scale), _times(wide_columns, scale)]
    lr = degrade_real(wide, scale=scale, draw=draw, rng=rng)
    first = time.start - wide_time.start
    lr = lr[first : first + window.stop - window.start]
    top, left = rows.start - wide_rows.start, columns.start - wide_columns.start
    return lr[..., top : top + window.height, left : left + window.width], hr


def _times(pixels: slice, scale: int) -> slice:
    return slice(pixels.start * scale, pixels.stop * scale)


def _wider(pixels: slice) -> slice:
    # A slice may end past the last pixel; it must not begin before the first.
    return slice(max(0, pixels.start - _MARGIN), pixels.stop + _MARGIN)
