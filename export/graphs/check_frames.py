"""Real frames of the sample clip: to compare graphs on at two sizes, and to round weights by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vsrc.export.shape_range import ShapeRange
from vsrc.runtime.picture.bicubic import downscale
from vsrc.runtime.picture.fast_resize import bicubic_down, gaussian_down
from vsrc.runtime.sample import sample_frames
from vsrc.runtime.spec import Degradation, GraphIo, GraphLayout, NetworkSpec

Array = NDArray[np.uint8] | NDArray[np.float32]


STEPS = 12
"""Number of consecutive frames on which a network with a state is checked: errors of a precision
add up in the state."""

_ROUNDING_STARTS = range(24, 114, 6)
"""First frames of the windows that weights are rounded by, behind those of the comparison."""

_SHRINK = {"bi": bicubic_down, "bd": gaussian_down}
"""Degradation -> function that makes an LR frame."""


@dataclass(frozen=True)
class CheckedFrames:
    """Real frames of one size.

    Attributes:
        lr: Window of LR frames, `(1, T, H, W, 3)` uint8; for a network with a state, the windows
            of consecutive frames from the start of a shot, `(L, T, H, W, 3)`.
        hr: HR frame of each window, `(L, sH, sW, 3)` uint8; None if there are none.
    """

    lr: NDArray[np.uint8]
    hr: NDArray[np.uint8] | None = None


def check_sizes(extent: ShapeRange, *, multiple: int) -> list[tuple[int, int]]:
    """Two sizes to test a graph at, both different from the traced one if possible.

    A fixed graph is tested at its only size.
    """
    sizes = []
    for height, width in ((48, 80), (90, 126)):
        rows = min(max(height, extent.height[0]), extent.height[1])
        columns = min(max(width, extent.width[0]), extent.width[1])
        sizes.append((rows // multiple * multiple, columns // multiple * multiple))
    if sizes[0] == sizes[1]:  # both exceed the largest
        sizes[1] = (extent.height[0], extent.width[0])
    return list(dict.fromkeys(sizes))


def check_frames(
    spec: NetworkSpec, extent: ShapeRange, *, degradation: Degradation
) -> tuple[CheckedFrames, ...]:
    """Cut frames of the sample clip at the sizes of `check_sizes`.

    Args:
        spec: Spec of the network.
        extent: Shapes that the graphs accept.
        degradation: Degradation of its training data, used for the frames where possible.
    """
    shrink = _SHRINK.get(degradation, bicubic_down)
    order = window_order(spec)
    sharp = sample_frames(int(order.max()) + 1)
    small = np.moveaxis(shrink(np.moveaxis(sharp, -1, 1), spec.scale), 1, -1)
    known = degradation in _SHRINK and spec.time_scale == 1 and spec.scale > 1
    made = []
    for height, width in check_sizes(extent, multiple=spec.size_multiple):
        if height > small.shape[1] or width > small.shape[2]:
            frames = real_window(len(sharp), height=height, width=width)[0]
            made.append(CheckedFrames(frames[order]))
            continue
        lr = small[:, :height, :width][order]
        hr = sharp[order[:, spec.radius], : height * spec.scale, : width * spec.scale]
        made.append(CheckedFrames(lr, hr if known else None))
    return tuple(made)


def rounding_frames(
    spec: NetworkSpec, extent: ShapeRange, *, degradation: Degradation
) -> list[NDArray[np.uint8]]:
    """Cut windows of one size from frames that `check_frames` does not use.

    They show the clip downscaled, as in `check_frames`, and as it is in turn: LR frames are both
    sharp and soft.

    Args:
        spec: Spec of the network.
        extent: Shapes that the graphs accept.
        degradation: Degradation of its training data.

    Returns:
        Windows, `(1, T, H, W, 3)`; with a state those of consecutive frames, `(L, T, H, W, 3)`.
    """
    shrink = _SHRINK.get(degradation, bicubic_down)
    height, width = check_sizes(extent, multiple=spec.size_multiple)[-1]
    order = window_order(spec)
    clip = sample_frames(_ROUNDING_STARTS[-1] + int(order.max()) + 1)
    cut = []
    for number, start in enumerate(_ROUNDING_STARTS):
        frames = clip[start : start + int(order.max()) + 1]
        if number % 2:
            frames = np.moveaxis(shrink(np.moveaxis(frames, -1, 1), spec.scale), 1, -1)
        top = max(0, (frames.shape[1] - height) // 2)
        left = max(0, (frames.shape[2] - width) // 2)
        frames = frames[:, top:, left:]
        cut.append(_tile(frames, height=height, width=width)[order])
    return cut


def window_order(spec: NetworkSpec) -> NDArray[np.int64]:
    """Frames of each window that is checked, `(L, T)`: one window, or with a state the first L."""
    if not spec.state:
        return np.arange(spec.window)[None]
    offsets = np.arange(spec.window) - spec.radius
    order: NDArray[np.int64] = np.maximum(np.arange(STEPS)[:, None] + offsets, 0)
    return order


def real_window(window: int, *, height: int, width: int) -> NDArray[np.uint8]:
    """Consecutive LR frames of the sample clip: `(1, window, height, width, 3)` uint8.

    The clip downscaled by 4 has 160 x 90 pixels; larger frames are cut from the full clip,
    and sizes beyond that tile the frame.
    """
    frames = sample_frames(window)
    if height <= 90 and width <= 160:
        frames = downscale(frames, 4)
    return _tile(frames, height=height, width=width)[None]


def _tile(frames: NDArray[np.uint8], *, height: int, width: int) -> NDArray[np.uint8]:
    """Cut `(T, height, width, 3)` from frames, which are repeated where they are smaller."""
    repeat = (1, -(-height // frames.shape[1]), -(-width // frames.shape[2]), 1)
    return np.ascontiguousarray(np.tile(frames, repeat)[:, :height, :width])


def as_float(lr: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Convert `(N, T, H, W, 3)` uint8 to `(N, T, 3, H, W)` float32 in [0, 1]."""
    return np.ascontiguousarray(np.moveaxis(lr, -1, 2)).astype(np.float32) / np.float32(255)


def as_fed(lr: NDArray[np.uint8], *, graph_io: GraphIo, layout: GraphLayout) -> Array:
    """Convert `(N, T, H, W, 3)` uint8 to the input format of a graph."""
    if graph_io == "uint8":
        return lr
    frames = as_float(lr)
    return frames.reshape(len(lr), -1, *lr.shape[2:4]) if layout == "stacked" else frames
