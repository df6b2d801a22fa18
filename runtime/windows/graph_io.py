"""Convert frames to the inputs of a graph and its outputs to frames: size, layout and dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.errors import MismatchError
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.spec import GraphSpec, NetworkSpec


def to_graph(lr: Pixels, network: NetworkSpec, graph: GraphSpec) -> NDArray[Any]:
    """Convert frames to the input of the graph.

    Args:
        lr: `(N, T, H, W, 3)` uint8, or uint16 for a float graph.
        network: Network, for the multiple that H and W are padded to.
        graph: Graph, for its smallest H and W and for its dtype.

    Returns:
        `lr`, padded; for a float graph as float32 `(N, T, 3, H, W)` in [0, 1], or
        `(N, 3 T, H, W)` where its frames are stacked.
    """
    least = (graph.height[0], graph.width[0])
    lr = pad_to_fit(lr, multiple=network.size_multiple, least=least)
    if graph.io == "uint8":
        return lr
    levels = np.empty((*lr.shape[:-3], 3, *lr.shape[-3:-1]), np.float32)
    np.multiply(np.moveaxis(lr, -1, -3), np.float32(1 / np.iinfo(lr.dtype).max), out=levels)
    return levels.reshape(len(lr), -1, *lr.shape[-3:-1]) if graph.layout == "stacked" else levels


def from_graph(sr: NDArray[Any], network: NetworkSpec, graph: GraphSpec, *, like: Pixels) -> Pixels:
    """Convert the output of the graph to frames.

    Args:
        sr: Output, `(..., sH, sW, 3)` uint8, or float `(..., 3, sH, sW)` of about [0, 1].
        network: Network, for its scale.
        graph: Graph, for its output type.
        like: Input before padding, `(N, T, H, W, 3)`; the result has its dtype.

    Returns:
        `(..., sH, sW, 3)`, rounded and clipped, with the padding cropped.

    Raises:
        MismatchError: The output has not the shape or type that the spec of the network implies.
    """
    check_output(sr, network, graph, like=like)
    height, width = (side * network.scale for side in like.shape[2:4])
    if graph.io == "uint8":
        return np.asarray(sr, dtype=np.uint8)[..., :height, :width, :]
    sr = sr[..., :height, :width]
    largest = np.iinfo(like.dtype).max
    levels = sr.astype(np.float32) * np.float32(largest)
    np.rint(levels, out=levels)
    np.fmin(np.fmax(levels, 0, out=levels), largest, out=levels)  # a NaN becomes black, not random
    pictures = np.empty((*sr.shape[:-3], *sr.shape[-2:], 3), like.dtype)
    pictures[...] = np.moveaxis(levels, -3, -1)
    return pictures


def check_output(sr: NDArray[Any], network: NetworkSpec, graph: GraphSpec, *, like: Pixels) -> None:
    """Check an output before it is cropped: a graph of another scale must not pass for this one.

    Args:
        sr: As for `from_graph`.
        network: Network, for scale, window and padding.
        graph: Graph, for its output type.
        like: As for `from_graph`.

    Raises:
        MismatchError: Shape or type is another than the spec of the network implies.
    """
    least = (graph.height[0], graph.width[0])
    sides = padded_size(like.shape[2:4], multiple=network.size_multiple, least=least)
    height, width = (side * network.scale for side in sides)
    times = () if network.time_scale == 1 else (2 * network.window - 1,)
    is_uint8 = graph.io == "uint8"
    picture = (height, width, 3) if is_uint8 else (3, height, width)
    expected = (*times, *picture)
    # `like` may have no windows at all: only their shape is known then.
    if sr.shape[1:] != expected or (sr.dtype == np.uint8) != is_uint8:
        raise MismatchError(
            f"the graph returned {sr.dtype} {sr.shape[1:]} for windows of {like.shape[1:4]}; its "
            f"description ({network.name} x{network.scale}, window {network.window}, {graph.io}) "
            f"means {expected}: the package was changed or made for another graph; export it again"
        )


def padded_size(
    size: Sequence[int], *, multiple: int, least: tuple[int, int] = (1, 1)
) -> tuple[int, int]:
    """H and W after `pad_to_fit`, pixels."""
    height, width = (
        -(-max(side, low) // multiple) * multiple for side, low in zip(size, least, strict=True)
    )
    return height, width


def pad_to_fit(lr: Pixels, *, multiple: int, least: tuple[int, int] = (1, 1)) -> Pixels:
    """Pad by reflection at the bottom and right edges until H and W fit.

    Args:
        lr: `(N, T, H, W, 3)`.
        multiple: Divisor of H and W of the result.
        least: Smallest H and W of the result.
    """
    height, width = lr.shape[2:4]
    sides = padded_size((height, width), multiple=multiple, least=least)
    bottom, right = sides[0] - height, sides[1] - width
    if not bottom and not right:
        return lr
    # `reflect` needs more pixels than it pads (a frame 1 pixel wide has nothing to reflect);
    # `symmetric` repeats the edge pixel and works for every size.
    pairs = ((0, 0), (0, 0), (0, bottom), (0, right), (0, 0))
    if bottom < height and right < width:
        return np.pad(lr, pairs, mode="reflect")
    return np.pad(lr, pairs, mode="symmetric")
