"""The description of a graph in its own metadata, so that it runs without its package."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from vsrc.export.graphs.graph_name import METADATA_KEY
from vsrc.export.graphs.graph_plan import GraphPlan
from vsrc.export.shape_range import ShapeRange
from vsrc.runtime.schema import to_json
from vsrc.runtime.spec import SCHEMA_VERSION, GraphIo, GraphLayout, NetworkSpec

if TYPE_CHECKING:
    import onnx


def describe_graph(
    model: onnx.ModelProto,
    plan: GraphPlan,
    spec: NetworkSpec,
    *,
    graph_io: GraphIo,
    layout: GraphLayout,
    extent: ShapeRange,
    opset: int,
) -> None:
    """Write network, inputs and outputs of an fp32 graph into it."""
    graph = {"precision": "fp32", "io": graph_io, "opset": opset, **to_json(extent)}
    if layout != "window":
        graph["layout"] = layout
    halves = {"encoded_frames": plan.encoded_frames, "features": to_json(plan.features)}
    graph |= {"role": plan.role, **halves}
    description = {"schema_version": SCHEMA_VERSION, "network": to_json(spec), "graph": graph}
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, json.dumps(description, sort_keys=True)
