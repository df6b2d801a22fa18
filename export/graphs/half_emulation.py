"""Emulate the arithmetic of a half-precision graph in float32.

ONNX Runtime on a CPU runs most operators of a half graph in float32, and omits the rounding
between two of them. So its results are closer to float32 than a device's, and intermediate overflow
is not detected. Here every output of a node is rounded to half precision and back:

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
"""Operators whose outputs are values of their inputs: nothing to round."""

UNROUNDED = ".unrounded"
"""Suffix of the name of a node's output before rounding to half precision."""


def as_rounded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a float32 graph with the half graph's results; a copy if nothing is half."""
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
    """Convert a node to float32, followed by the rounding of its outputs."""
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
