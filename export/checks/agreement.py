"""Does a graph, or a pair of them, give the pictures that torch gives, on real frames?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vsrc.export.graphs.check_frames import Array, CheckedFrames, as_float
from vsrc.runtime.errors import GateError
from vsrc.runtime.spec import FeatureSpec, GraphIo, NetworkSpec

if TYPE_CHECKING:
    from torch import nn

Run = Callable[[Array], Array]
"""One window of frames, as a graph takes it, to what it gives."""


@dataclass(frozen=True)
class ComparedGraph:
    """A graph, or a pair of halves, that is compared.

    Attributes:
        pictures: It, as it will be run.
        exact: The same before it rounds to 8 bits (`vsrc.export.checks.unrounded`).
    """

    pictures: Run
    exact: Run


@dataclass(frozen=True)
class Agreement:
    """How a graph compares with torch in float32, at one size.

    Attributes:
        height: Of the LR frames.
        width: Of the LR frames.
        psnr_db: Of what the graph gives before rounding against the same of torch, RGB, peak 255;
            None when they are equal.
        largest_difference: The same, the largest over all values, in units of 1/255.
        largest_step: Of the 8-bit pictures.
        differing_share: Share of values that are not the same once they are 8-bit.
        truth_psnr_db: Of torch's picture against ground truth, RGB; None where there is none.
        loss_db: How much lower that of the graph is.
    """

    height: int
    width: int
    psnr_db: float | None
    largest_difference: float
    largest_step: float
    differing_share: float
    truth_psnr_db: float | None = None
    loss_db: float | None = None


@dataclass(frozen=True)
class GraphComparison:
    """What was found, and what it looks like.

    Attributes:
        agreements: Name of a subject -> one for each size.
        truth: What torch gives at the last size, `(sH, sW, 3)` uint8.
        pictures: Name of a subject -> what it gives there.
    """

    agreements: dict[str, tuple[Agreement, ...]]
    truth: NDArray[np.uint8]
    pictures: dict[str, NDArray[np.uint8]]


def compare_with_torch(
    subjects: Mapping[str, ComparedGraph],
    network: nn.Module,
    spec: NetworkSpec,
    *,
    graph_io: GraphIo,
    frames: Sequence[CheckedFrames],
) -> GraphComparison:
    """Compare with the network on real frames, once for each size.

    Args:
        subjects: Name -> what is compared.
        network: What the graphs were exported from.
        spec: What the network says of itself.
        graph_io: What the graphs take.
        frames: What is fed: `check_frames`.

    Raises:
        GateError: ONNX Runtime cannot run a graph at one of the sizes.
    """
    agreements: dict[str, list[Agreement]] = {name: [] for name in subjects}
    pictures: dict[str, NDArray[np.uint8]] = {}
    for each in frames:
        fed: Array = each.lr if graph_io == "uint8" else as_float(each.lr)
        truth = _torch_answer(network, spec, fed, graph_io)
        for name, subject in subjects.items():
            try:
                answers = subject.exact(fed), subject.pictures(fed)
            except Exception as error:  # ONNX Runtime's own exceptions share no base class
                height, width = each.lr.shape[2:4]
                raise GateError(
                    f"the {name} graph does not run at {height}x{width}: {error}; "
                    "nothing was written"
                ) from error
            agreements[name].append(
                _measure_agreement(*answers, truth=truth, frames=each, graph_io=graph_io)
            )
            pictures[name] = _picture(answers[0], 1.0 if graph_io == "uint8" else 255.0)
    of_all = {name: tuple(of_one) for name, of_one in agreements.items()}
    return GraphComparison(of_all, _picture(truth, 1.0), pictures)


def whole_run(graph: Path) -> Run:
    """A window through the graph of the whole network."""
    from vsrc.runtime.backends.ort import open_ort

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
    from vsrc.compressor.networks.layers.frame_encoder import count_encoded_runs
    from vsrc.runtime.backends.ort import open_ort

    encoder, fuser = open_ort(encode, threads=0), open_ort(fuse, threads=0)
    names = [feature.name for feature in features]
    looks_again = any(value.name == "centre" for value in fuser.get_inputs())

    def run(lr: Array) -> Array:
        window = lr.shape[1]
        sets = []
        for first in range(count_encoded_runs(window, encoded_frames=encoded_frames)):
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


def _torch_answer(
    network: nn.Module, spec: NetworkSpec, fed: Array, graph_io: GraphIo
) -> NDArray[np.float32]:
    """What torch gives, in 0..255, clipped and not rounded, `(N, ..., 3, sH, sW)`."""
    import torch

    from vsrc.export.graphs.picture_network import ENDS, Ends, WholeGraph

    ends = Ends(ENDS[graph_io].enter, ENDS["float"].leave)
    whole = WholeGraph(network, ends, window=spec.window).eval()
    with torch.inference_mode():
        answer: NDArray[np.float32] = (whole(torch.from_numpy(fed)) * 255.0).numpy()
    return answer


def _measure_agreement(
    exact: Array,
    pictures: Array,
    *,
    truth: NDArray[np.float32],
    frames: CheckedFrames,
    graph_io: GraphIo,
) -> Agreement:
    unrounded = exact.astype(np.float64) * (1.0 if graph_io == "uint8" else 255.0)
    if graph_io == "uint8":
        rounded = np.moveaxis(pictures, -1, -3).astype(np.float64)
    else:
        rounded = np.rint(pictures.astype(np.float64) * 255.0)
    difference = unrounded - truth
    steps = np.abs(rounded - np.rint(truth))
    truth_psnr, loss = None, None
    if frames.hr is not None:
        hr = np.moveaxis(frames.hr, -1, 0)[None].astype(np.float64)
        truth_psnr = _psnr(np.rint(truth) - hr)
        here = _psnr(rounded - hr)
        loss = None if truth_psnr is None or here is None else truth_psnr - here
    return Agreement(
        height=frames.lr.shape[2],
        width=frames.lr.shape[3],
        psnr_db=_psnr(difference),
        largest_difference=float(np.abs(difference).max()),
        largest_step=float(steps.max()),
        differing_share=float(np.mean(steps > 0)),
        truth_psnr_db=truth_psnr,
        loss_db=loss,
    )


def _picture(values: Array, unit: float) -> NDArray[np.uint8]:
    """The first frame of `(N, [T',] 3, H, W)`."""
    first = values.reshape(-1, *values.shape[-3:])[0] * unit
    first = np.nan_to_num(first).clip(0, 255)
    return np.ascontiguousarray(np.rint(np.moveaxis(first, 0, -1)).astype(np.uint8))


def _psnr(difference: NDArray[np.float64]) -> float | None:
    """Decibels, peak 255; None for no difference, not a number where there is one that is none."""
    error = float(np.mean(difference**2))
    return None if error == 0 else float(10 * np.log10(255.0**2 / error))
