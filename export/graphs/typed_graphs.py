"""Convert float32 graphs of a network to another precision, without tracing again.

torch ── trace ── fp32 ─┬─ half where accurate ─── fp16 ── Q/DQ ── int8      NVIDIA
                        └─ Q/DQ ── int8-cpu                                 ONNX Runtime
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vsrc.export.graphs.check_frames import Array
from vsrc.export.graphs.graph_name import METADATA_KEY
from vsrc.export.graphs.graph_plan import GraphPlan
from vsrc.export.graphs.overflow import Feeds, Float32Node, half_or_kept
from vsrc.runtime.backends.ort_run import run_graph
from vsrc.runtime.backends.ort_state import iter_steps
from vsrc.runtime.errors import SpecError
from vsrc.runtime.spec import Precision

if TYPE_CHECKING:
    import onnx
    import onnxruntime

    from vsrc.calibration.calibration_file import Calibration
    from vsrc.calibration.compensated_rounding import CompensatedRounding
    from vsrc.export.graphs.quantise import Int8Target


@dataclass(frozen=True)
class TypedGraph:
    """One graph in one precision.

    Attributes:
        plan: Plan that it was traced from.
        model: ONNX graph.
        kept: Nodes kept in fp32, as they overflow half precision.
    """

    plan: GraphPlan
    model: onnx.ModelProto
    kept: tuple[Float32Node, ...] = ()


def in_precision(
    traced: Sequence[TypedGraph],
    precision: Precision,
    *,
    frames: Array,
    calibration: Calibration | None = None,
    int8_with: Precision = "fp16",
    roundings: Mapping[str, CompensatedRounding] | None = None,
) -> list[TypedGraph]:
    """Convert graphs to another precision.

    Args:
        traced: fp32 graphs: whole, then encode and fuse if there are any.
        precision: Wanted precision.
        frames: Window of real frames in the whole graph's input format, to find overflow of half
            precision; for a network with a state the windows of consecutive frames, `(L, T, ...)`.
        calibration: Ranges for int8.
        int8_with: Precision of the rest of an int8 graph for NVIDIA: fp16 or fp32.
        roundings: Convolution -> function that rounds its weights to int8.

    Raises:
        SpecError: int8 without ranges.
        MismatchError: The graph cannot be written in this precision.
    """
    if precision == "fp32":
        return list(traced)
    if precision == "fp16":
        return _halve(traced, frames)
    if calibration is None:
        raise SpecError("int8 needs ranges: vsrc calibrate finds them")
    from vsrc.export.graphs.quantise import int8_graph

    target: Int8Target = "cpu" if precision == "int8-cpu" else "nvidia"
    halved = int8_with == "fp16" and target == "nvidia"
    base = _halve(traced, frames) if halved else traced
    return [
        replace(
            graph, model=int8_graph(graph.model, calibration, target=target, roundings=roundings)
        )
        for graph in base
    ]


def opset_of(model: onnx.ModelProto) -> int:
    """Version of the ONNX operator set of a graph."""
    return int(
        next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    )


def _halve(traced: Sequence[TypedGraph], frames: Array) -> list[TypedGraph]:
    graphs = []
    for graph, feeds in zip(traced, feeds_of(traced, frames), strict=True):
        model, kept = half_or_kept(graph.model, feeds, halve=graph.plan.maps)
        name_precision(model, "fp16", opset=opset_of(model))
        graphs.append(TypedGraph(graph.plan, model, kept))
    return graphs


def feeds_of(traced: Sequence[TypedGraph], frames: Array) -> list[Feeds]:
    """Inputs of each graph for the same window of frames; arguments as for `in_precision`."""
    whole = traced[0]
    if whole.plan.state:  # that after the frames before the last
        windows = [frames[at : at + 1] for at in range(len(frames))]
        *_, (state, _) = iter_steps(_open(whole.model), windows, whole.plan.state)
        return [{"lr": windows[-1], **state}]
    feeds: list[Feeds] = [{"lr": frames}]
    if len(traced) > 1:
        encode = traced[1]
        count, window = encode.plan.encoded_frames, frames.shape[1]
        runs = [frames[:, first : first + count] for first in range(window - count + 1)]
        fed = [np.ascontiguousarray(run[:, 0] if count == 1 else run) for run in runs]
        sets = [_run(encode.model, run) for run in fed]
        fused: Feeds = {"centre": np.ascontiguousarray(frames[:, window // 2])}
        for name in sets[0]:
            fused[name] = np.stack([features[name] for features in sets], axis=1)
        feeds += [{"lr": fed[0]}, fused]
    return feeds


def _open(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    import onnxruntime

    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def _run(model: onnx.ModelProto, lr: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    session = _open(model)
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, run_graph(session, names, {"lr": lr}), strict=True))


def name_precision(model: onnx.ModelProto, precision: Precision, *, opset: int) -> None:
    """Set the precision in the graph's metadata."""
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            description = json.loads(entry.value)
            description["graph"].update(precision=precision, opset=opset)
            entry.value = json.dumps(description, sort_keys=True)
