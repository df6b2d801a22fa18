"""Does a graph give the pictures that torch gives, on real frames?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vsrc.export.extent import Extent
from vsrc.runtime.bicubic import downscale
from vsrc.runtime.sample import sample_frames
from vsrc.runtime.spec import GraphIo, NetworkSpec

if TYPE_CHECKING:
    from torch import nn

Array = NDArray[np.uint8] | NDArray[np.float32]


@dataclass(frozen=True)
class Agreement:
    """How a graph compares with torch at one size.

    Attributes:
        height: Of the LR frames.
        width: Of the LR frames.
        largest_difference: Over all pixels, in units of 1/255.
        psnr_db: Of the graph's picture against torch's, peak 255; None when they are equal.
        differing_share: Share of values that are not the same once they are 8-bit.
    """

    height: int
    width: int
    largest_difference: float
    psnr_db: float | None
    differing_share: float


def agreements(
    graph: Path, network: nn.Module, spec: NetworkSpec, *, graph_io: GraphIo, extent: Extent
) -> list[Agreement]:
    """Run graph and network on real frames, at two sizes (one, if the graph takes only one).

    Args:
        graph: ONNX file.
        network: What it was exported from.
        spec: What the network says of itself.
        graph_io: What the graph takes.
        extent: Shapes the graph takes.
    """
    from vsrc.export.picture_network import FloatNetwork, PictureNetwork
    from vsrc.runtime.ort import open_ort

    session = open_ort(graph, threads=0)
    wrap = PictureNetwork if graph_io == "uint8" else FloatNetwork
    wrapped = wrap(network, window=spec.window).eval()
    found = []
    for height, width in check_sizes(extent, multiple=spec.size_multiple):
        lr = real_window(spec.window, height=height, width=width)
        fed: Array = lr if graph_io == "uint8" else as_float(lr)
        (answer,) = session.run(None, {"lr": fed})
        found.append(_compared(answer, _torch_answer(wrapped, fed), height, width))
    return found


def check_sizes(extent: Extent, *, multiple: int) -> list[tuple[int, int]]:
    """Two sizes a graph is tried at, both unlike the one it was traced with."""
    if extent.fixed:
        return [(extent.height[0], extent.width[0])]
    wanted = ((48, 80), (90, 126))
    sizes = []
    for height, width in wanted:
        rows = min(max(height, extent.height[0]), extent.height[1])
        columns = min(max(width, extent.width[0]), extent.width[1])
        sizes.append((rows // multiple * multiple, columns // multiple * multiple))
    return sizes


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


def _torch_answer(wrapped: nn.Module, fed: Array) -> Array:
    import torch

    with torch.inference_mode():
        answer: Array = wrapped(torch.from_numpy(fed)).numpy()
    return answer


def _compared(answer: Array, truth: Array, height: int, width: int) -> Agreement:
    unit = 1.0 if answer.dtype == np.uint8 else 255.0
    difference = np.abs(answer.astype(np.float64) - truth.astype(np.float64)) * unit
    error = float(np.mean(difference**2))
    rounded = np.rint(answer * unit) != np.rint(truth * unit)
    return Agreement(
        height=height,
        width=width,
        largest_difference=float(difference.max()),
        psnr_db=None if error == 0 else float(10 * np.log10(255.0**2 / error)),
        differing_share=float(np.mean(rounded)),
    )
