"""Pictures as a graph takes them, and as it gives them: uint8 as they are, or float tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.pixels import Pixels
from vsrc.runtime.spec import GraphSpec


def to_graph(lr: Pixels, graph: GraphSpec) -> NDArray[Any]:
    """What the graph is fed with.

    Args:
        lr: `(..., H, W, 3)` uint8, or uint16 for a float graph.
        graph: Which of the two it takes.

    Returns:
        `lr` itself, or float32 `(..., 3, H, W)` in [0, 1].
    """
    if graph.io == "uint8":
        return lr
    levels = np.empty((*lr.shape[:-3], 3, *lr.shape[-3:-1]), np.float32)
    np.multiply(np.moveaxis(lr, -1, -3), np.float32(1 / np.iinfo(lr.dtype).max), out=levels)
    return levels


def from_graph(sr: NDArray[Any], graph: GraphSpec, *, like: Pixels) -> Pixels:
    """Pictures from what the graph gave.

    Args:
        sr: `(..., H, W, 3)` uint8, or float `(..., 3, H, W)` about [0, 1].
        graph: Which of the two it gives.
        like: What it was fed with; the result has its type.

    Returns:
        `(..., H, W, 3)`, rounded and clipped.
    """
    if graph.io == "uint8":
        return np.asarray(sr, dtype=np.uint8)
    largest = np.iinfo(like.dtype).max
    levels = sr.astype(np.float32) * np.float32(largest)
    np.rint(levels, out=levels)
    np.fmin(np.fmax(levels, 0, out=levels), largest, out=levels)  # a NaN becomes black, not chance
    pictures = np.empty((*sr.shape[:-3], *sr.shape[-2:], 3), like.dtype)
    pictures[...] = np.moveaxis(levels, -3, -1)
    return pictures
