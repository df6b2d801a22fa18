"""Does a graph, or a pair of them, give the pictures that torch gives, on real frames?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vsrc.export.extent import Extent
from vsrc.runtime.bicubic import downscale
from vsrc.runtime.errors import GateError
from vsrc.runtime.sample import sample_frames
from vsrc.runtime.spec import FeatureSpec, GraphIo, NetworkSpec

if TYPE_CHECKING:
    from torch import nn

Array = NDArray[np.uint8] | NDArray[np.float32]
Run = Callable[[Array], Array]
"""One window of frames, as a graph takes it, to what it gives."""


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
    runs: Mapping[str, Run],
    network: nn.Module,
    spec: NetworkSpec,
    *,
    graph_io: GraphIo,
    extent: Extent,
) -> dict[str, list[Agreement]]:
    """Compare with the network on real frames, at two sizes (one, if there is only one).

    Args:
        runs: Name -> what is compared.
        network: What the graphs were exported from.
        spec: What the network says of itself.
        graph_io: What the graphs take.
        extent: Shapes the graphs take.

    Raises:
        GateError: ONNX Runtime cannot run a graph at one of the sizes.
    """
    from vsrc.export.picture_network import ENDS, WholeGraph

    whole = WholeGraph(network, ENDS[graph_io], window=spec.window).eval()
    found: dict[str, list[Agreement]] = {name: [] for name in runs}
    for height, width in check_sizes(extent, multiple=spec.size_multiple):
        lr = real_window(spec.window, height=height, width=width)
        fed: Array = lr if graph_io == "uint8" else as_float(lr)
        truth = _torch_answer(whole, fed)
        for name, run in runs.items():
            try:
                answer = run(fed)
            except Exception as error:  # ONNX Runtime's own exceptions share no base class
                raise GateError(
                    f"the {name} graph does not run at {height}x{width}: {error}; "
                    "nothing was written"
                ) from error
            found[name].append(_compared(answer, truth, height, width))
    return found


def whole_run(graph: Path) -> Run:
    """A window through the graph of the whole network."""
    from vsrc.runtime.ort import open_ort

    session = open_ort(graph, threads=0)

    def run(lr: Array) -> Array:
        (answer,) = session.run(None, {"lr": lr})
        return np.asarray(answer)

    return run


def halves_run(
    encode: Path, fuse: Path, *, encoded_frames: int, features: tuple[FeatureSpec, ...]
) -> Run:
    """A window through the pair: each frame (or run of frames) encoded by itself, then all fused.

    Args:
        encode: Graph of that role.
        fuse: Graph of that role.
        encoded_frames: F, as in `GraphSpec`.
        features: The maps that one hands to the other.
    """
    from vsrc.compressor.networks.frame_encoder import encoded_runs
    from vsrc.runtime.ort import open_ort

    encoder, fuser = open_ort(encode, threads=0), open_ort(fuse, threads=0)
    names = [feature.name for feature in features]
    looks_again = any(value.name == "centre" for value in fuser.get_inputs())

    def run(lr: Array) -> Array:
        window = lr.shape[1]
        sets = []
        for first in range(encoded_runs(window, encoded_frames=encoded_frames)):
            frames = lr[:, first : first + encoded_frames]
            fed = frames[:, 0] if encoded_frames == 1 else frames
            sets.append(encoder.run(names, {"lr": np.ascontiguousarray(fed)}))
        maps = {
            name: np.stack(of_all, axis=1)
            for name, of_all in zip(names, zip(*sets, strict=True), strict=True)
        }
        centre = {"centre": np.ascontiguousarray(lr[:, window // 2])} if looks_again else {}
        (answer,) = fuser.run(None, {**maps, **centre})
        return np.asarray(answer)

    return run


def check_sizes(extent: Extent, *, multiple: int) -> list[tuple[int, int]]:
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
