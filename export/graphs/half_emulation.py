"""The arithmetic of a half-precision graph, on a machine that has none.

ONNX Runtime on a CPU runs most operators of a half graph in float32, and leaves out the rounding
between two of them. So what it gives is closer to float32 than what a device gives, and an overflow
in the middle goes unseen. Here every value that a node gives is rounded to half precision and back:

    Conv (float16)   becomes   Conv (float32) ─ Cast to float16 ─ Cast to float32

Sums inside an operator stay float32, as they are on tensor cores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsrc.export.graphs.half import value_types

if TYPE_CHECKING:
    import onnx

MOVES = (
    *("Reshape", "Transpose", "Gather", "Slice", "Concat", "Split", "Squeeze", "Unsqueeze"),
    *("DepthToSpace", "SpaceToDepth", "Expand", "Relu", "Identity", "MaxPool"),
)
"""Operators that give only values that they took: there is nothing to round."""

UNROUNDED = ".unrounded"
"""Ends the name of what a node gave, before it was rounded to half precision."""


def as_rounded(model: onnx.ModelProto) -> onnx.ModelProto:
    """A float32 graph that gives what the half graph would; without half values, a plain copy."""
    import onnx

    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    types = value_types(model)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    for tensor in model.graph.initializer:
        graph.initializer.append(_as_single(tensor))
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type == half:
            value.type.tensor_type.elem_type = single
    for original in model.graph.node:
        graph.node.extend(_round_node(original, types))
    return result


def _round_node(original: onnx.NodeProto, types: dict[str, int]) -> list[onnx.NodeProto]:
    """A node in float32, and the rounding of what it gives."""
    import onnx

    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    node = onnx.NodeProto()
    node.CopyFrom(original)
    for attribute in node.attribute:
        if attribute.name in ("to", "dtype") and attribute.i == half:
            attribute.i = single
        if attribute.HasField("t"):
            attribute.t.CopyFrom(_as_single(attribute.t))
    nodes = [node]
    if node.op_type not in MOVES:
        for slot, name in enumerate(node.output):
            if types.get(name) == half:
                node.output[slot] = name + UNROUNDED
                nodes += _round_value(name)
    return nodes


def _round_value(name: str) -> list[onnx.NodeProto]:
    import onnx

    cast, middle = onnx.helper.make_node, f"{name}.rounded"
    return [
        cast("Cast", [name + UNROUNDED], [middle], to=onnx.TensorProto.FLOAT16),
        cast("Cast", [middle], [name], to=onnx.TensorProto.FLOAT),
    ]


def _as_single(tensor: onnx.TensorProto) -> onnx.TensorProto:
    import numpy as np
    import onnx

    if tensor.data_type != onnx.TensorProto.FLOAT16:
        return tensor
    values = onnx.numpy_helper.to_array(tensor).astype(np.float32)
    return onnx.numpy_helper.from_array(values, tensor.name)
