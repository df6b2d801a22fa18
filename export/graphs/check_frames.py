"""Real frames that graphs are compared on, at two sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vsrc.export.graphs.shape_range import ShapeRange
from vsrc.runtime.picture.bicubic import downscale
from vsrc.runtime.picture.fast_resize import bicubic_down, gaussian_down
from vsrc.runtime.sample import sample_frames
from vsrc.runtime.spec import Degradation, NetworkSpec

Array = NDArray[np.uint8] | NDArray[np.float32]


_SHRINK = {"bi": bicubic_down, "bd": gaussian_down}
"""Degradation -> how it makes an LR picture."""


@dataclass(frozen=True)
class CheckedFrames:
    """Real frames of one size.

    Attributes:
        lr: A window of pictures `(1, T, H, W, 3)` uint8.
        hr: What its centre was made from, `(sH, sW, 3)` uint8; None where that is not known.
    """

    lr: NDArray[np.uint8]
    hr: NDArray[np.uint8] | None = None


def check_sizes(extent: ShapeRange, *, multiple: int) -> list[tuple[int, int]]:
    """Two sizes a graph is tried at, both unlike the one it was traced with where there are more.

    Only a graph of one size is tried at one.
    """
    sizes = []
    for height, width in ((48, 80), (90, 126)):
        rows = min(max(height, extent.height[0]), extent.height[1])
        columns = min(max(width, extent.width[0]), extent.width[1])
        sizes.append((rows // multiple * multiple, columns // multiple * multiple))
    if sizes[0] == sizes[1]:  # both lie beyond the largest
        sizes[1] = (extent.height[0], extent.width[0])
    return list(dict.fromkeys(sizes))


def check_frames(
    spec: NetworkSpec, extent: ShapeRange, *, degradation: Degradation
) -> tuple[CheckedFrames, ...]:
    """Frames of the sample clip at the sizes of `check_sizes`.

    Args:
        spec: What the network says of itself.
        extent: Shapes the graphs take.
        degradation: What it was taught for: so the frames are made, where that can be done.
    """
    shrink = _SHRINK.get(degradation, bicubic_down)
    sharp = sample_frames(spec.window)
    small = np.moveaxis(shrink(np.moveaxis(sharp, -1, 1), spec.scale), 1, -1)
    known = degradation in _SHRINK and spec.time_scale == 1 and spec.scale > 1
    made = []
    for height, width in check_sizes(extent, multiple=spec.size_multiple):
        if height > small.shape[1] or width > small.shape[2]:
            made.append(CheckedFrames(real_window(spec.window, height=height, width=width)))
            continue
        lr = np.ascontiguousarray(small[None, :, :height, :width])
        hr = sharp[spec.radius, : height * spec.scale, : width * spec.scale]
        made.append(CheckedFrames(lr, hr if known else None))
    return tuple(made)


def real_window(window: int, *, height: int, width: int) -> NDArray[np.uint8]:
    """Consecutive LR frames of the sample clip: `(1, window, height, width, 3)` uint8.

    The frames are 160 x 90 when they are reduced fourfold; larger ones are cut from the full clip,
    and sizes beyond that repeat the picture.
    """
    frames = sample_frames(window)
    if height <= 90 and width <= 160:
        frames = downscale(frames, 4)
    repeat = (1, -(-height // frames.shape[1]), -(-width // frames.shape[2]), 1)
    return np.ascontiguousarray(np.tile(frames, repeat)[None, :, :height, :width])


def as_float(lr: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pictures `(N, T, H, W, 3)` as `(N, T, 3, H, W)` in [0, 1]."""
    return np.ascontiguousarray(np.moveaxis(lr, -1, 2)).astype(np.float32) / np.float32(255)
