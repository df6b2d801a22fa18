"""Compare the outputs of graphs, or of encode + fuse pairs, with the network on real frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vsrc.export.graphs.answers import Reference
from vsrc.export.graphs.check_frames import Array, CheckedFrames, as_fed
from vsrc.runtime.backends.ort_run import run_graph
from vsrc.runtime.errors import GateError
from vsrc.runtime.spec import FeatureSpec, GraphIo, GraphLayout, StateSpec

Run = Callable[[Array], Array]
"""Function from windows of frames, in the graph's input format, to the output of each; a network
with a state takes them as those of consecutive frames."""


@dataclass(frozen=True)
class ComparedGraph:
    """A graph, or an encode + fuse pair, to compare.

    Attributes:
        pictures: Function that runs it as deployed.
        exact: Function that runs it without rounding to 8 bits (`vsrc.export.checks.unrounded`).
    """

    pictures: Run
    exact: Run


@dataclass(frozen=True)
class Agreement:
    """Agreement of a graph with torch in float32, at one size.

    Attributes:
        height: Height of the LR frames, pixels.
        width: Width of the LR frames, pixels.
        psnr_db: PSNR of the graph's unrounded output against torch's, RGB, peak 255, dB; None if
            equal.
        largest_difference: Largest absolute difference of these outputs, in units of 1/255.
        largest_step: Largest absolute difference of the 8-bit images.
        differing_share: Fraction of 8-bit values that differ.
        truth_psnr_db: PSNR of torch's output against ground truth, RGB, dB; None without ground
            truth.
        gain_db: PSNR of the graph against ground truth, minus that of torch, dB; negative if the
            graph is worse.
    """

    height: int
    width: int
    psnr_db: float | None
    largest_difference: float
    largest_step: float
    differing_share: float
    truth_psnr_db: float | None = None
    gain_db: float | None = None


@dataclass(frozen=True)
class GraphComparison:
    """Results of a comparison, with sample images.

    Attributes:
        agreements: Name of a subject -> agreement at each size.
        truth: Output of torch at the last size, `(sH, sW, 3)` uint8.
        pictures: Name of a subject -> its output at that size.
    """

    agreements: dict[str, tuple[Agreement, ...]]
    truth: NDArray[np.uint8]
    pictures: dict[str, NDArray[np.uint8]]


def compare_graphs(
    subjects: Mapping[str, ComparedGraph],
    reference: Reference,
    *,
    graph_io: GraphIo,
    layout: GraphLayout = "window",
    frames: Sequence[CheckedFrames],
) -> GraphComparison:
    """Compare subjects with the network on real frames, at each size.

    Args:
        subjects: Name -> graph or pair to compare.
        reference: Network that the graphs were made from.
        graph_io: Type of the graphs' inputs and outputs.
        layout: Axes of float frames.
        frames: Input frames, from `check_frames`.

    Raises:
        GateError: ONNX Runtime cannot run a graph at one of the sizes.
    """
    agreements: dict[str, list[Agreement]] = {name: [] for name in subjects}
    pictures: dict[str, NDArray[np.uint8]] = {}
    for each in frames:
        fed = as_fed(each.lr, graph_io=graph_io, layout=layout)
        truth = reference.answer(fed)
        for name, subject in subjects.items():
            try:
                answers = subject.exact(fed), subject.pictures(fed)
            except Exception as error:  # ONNX Runtime's exceptions have no common base class
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


def run_of(graph: Path, state: tuple[StateSpec, ...]) -> Run:
    """Return a function that runs windows, in order with a state, through a whole network."""
    return steps_run(graph, state) if state else whole_run(graph)


def whole_run(graph: Path) -> Run:
    """Return a function that runs a window through the graph of the whole network."""
    from vsrc.runtime.backends.ort import open_ort

    session = open_ort(graph, threads=0)

    def run(lr: Array) -> Array:
        (answer,) = run_graph(session, None, {"lr": lr})
        return np.asarray(answer)

    return run


def steps_run(graph: Path, state: tuple[StateSpec, ...]) -> Run:
    """Return a function that runs the windows of a shot in order, with the state between them."""
    from vsrc.runtime.backends.ort import open_ort
    from vsrc.runtime.backends.ort_state import iter_steps

    session = open_ort(graph, threads=0)

    def run(lr: Array) -> Array:
        windows = [lr[at : at + 1] for at in range(len(lr))]
        steps = iter_steps(session, windows, state, outputs=("sr",))
        return np.concatenate([sr for _, (sr,) in steps])

    return run


def halves_run(
    encode: Path, fuse: Path, *, encoded_frames: int, features: tuple[FeatureSpec, ...]
) -> Run:
    """Return a function that encodes each frame (or run of frames) by itself, then fuses all.

    Args:
        encode: File of the encode graph.
        fuse: File of the fuse graph.
        encoded_frames: F, as in `GraphSpec`.
        features: Feature maps that encode passes to fuse.
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
    truth_psnr, gain = None, None
    if frames.hr is not None:
        hr = np.moveaxis(frames.hr, -1, 1).astype(np.float64)
        truth_psnr = _psnr(np.rint(truth) - hr)
        here = _psnr(rounded - hr)
        gain = None if truth_psnr is None or here is None else here - truth_psnr
    return Agreement(
        height=frames.lr.shape[2],
        width=frames.lr.shape[3],
        psnr_db=_psnr(difference),
        largest_difference=float(np.abs(difference).max()),
        largest_step=float(steps.max()),
        differing_share=float(np.mean(steps > 0)),
        truth_psnr_db=truth_psnr,
        gain_db=gain,
    )


def _picture(values: Array, unit: float) -> NDArray[np.uint8]:
    """Convert the first frame of the last window, `(L, [T',] 3, H, W)`, to an 8-bit image."""
    first = values[-1].reshape(-1, *values.shape[-3:])[0] * unit
    first = np.nan_to_num(first).clip(0, 255)
    return np.ascontiguousarray(np.rint(np.moveaxis(first, 0, -1)).astype(np.uint8))


def _psnr(difference: NDArray[np.float64]) -> float | None:
    """PSNR in dB, peak 255; None for no difference, NaN if a difference is NaN."""
    error = float(np.mean(difference**2))
    return None if error == 0 else float(10 * np.log10(255.0**2 / error))
