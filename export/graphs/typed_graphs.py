"""The graphs of a network in another precision: made of those in float32, never traced again.

torch ── trace ── fp32 ─┬─ half where it holds ── fp16 ── Q/DQ ── int8      NVIDIA
                        └─ Q/DQ ── int8-cpu                                 ONNX Runtime
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vsrc.export.graphs.check_frames import Array
from vsrc.export.graphs.graph_name import METADATA_KEY
from vsrc.export.graphs.graph_plan import GraphPlan
from vsrc.export.graphs.overflow import Feeds, Float32Node, half_or_kept
from vsrc.runtime.errors import SpecError
from vsrc.runtime.spec import Precision

if TYPE_CHECKING:
    import onnx

    from vsrc.calibration.calibration_file import Calibration
    from vsrc.export.graphs.quantise import Int8Target


@dataclass(frozen=True)
class TypedGraph:
    """One graph in one precision.

    Attributes:
        plan: What it was traced from.
        model: The graph.
        kept: Nodes that half precision cannot hold.
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
) -> list[TypedGraph]:
    """The same graphs in another precision.

    Args:
        traced: In fp32: the whole, then its halves where there are any.
        precision: What is wanted.
        frames: A window of real frames, as the whole graph takes it: where half precision does not
            hold is found on it.
        calibration: Ranges; int8 needs them.
        int8_with: What the rest of an int8 graph for NVIDIA is: fp16 or fp32.

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
        replace(graph, model=int8_graph(graph.model, calibration, target=target)) for graph in base
    ]


def opset_of(model: onnx.ModelProto) -> int:
    """Version of the ONNX operators that a graph is written in."""
    return int(
        next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    )


def _halve(traced: Sequence[TypedGraph], frames: Array) -> list[TypedGraph]:
    graphs = []
    for graph, feeds in zip(traced, _feeds(traced, frames), strict=True):
        features = [feature.name for feature in graph.plan.features]
        model, kept = half_or_kept(graph.model, feeds, halve=features)
        name_precision(model, "fp16", opset=opset_of(model))
        graphs.append(TypedGraph(graph.plan, model, kept))
    return graphs


def _feeds(traced: Sequence[TypedGraph], frames: Array) -> list[Feeds]:
    """What each graph takes for the same window of frames."""
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


def _run(model: onnx.ModelProto, lr: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, {"lr": lr}), strict=True))


def name_precision(model: onnx.ModelProto, precision: Precision, *, opset: int) -> None:
    """Say in the metadata what the graph now is."""
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            description = json.loads(entry.value)
            description["graph"].update(precision=precision, opset=opset)
            entry.value = json.dumps(description, sort_keys=True)
