"""Remove the rounding to 8 bits from a graph.

Two images that agree to 1/1000 of a step still differ by a whole step wherever a value is near a
half, so 8-bit outputs of the same network agree to at most some 80 dB. The loss of a precision is
measurable only before rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsrc.export.graphs.half_emulation import as_rounded

if TYPE_CHECKING:
    import onnx

_AFTER_ROUNDING = ("Cast", "Transpose", "Reshape", "Concat", "Split", "Unsqueeze", "Squeeze")


def unround(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a float32 copy with half values rounded as on a device, and unrounded outputs.

    Its `sr` is float32 `(N, ..., 3, sH, sW)`: in 0..255, clipped, for a uint8 graph; unchanged
    for a float graph. An encode graph returns its features.
    """
    import onnx

    result = as_rounded(model)
    graph = result.graph
    passed, rounding = _find_rounding(graph)
    if rounding is None:
        return result
    for node in passed:
        if node.op_type == "Cast":
            node.CopyFrom(onnx.helper.make_node("Identity", node.input, node.output))
    if rounding.op_type == "Round":
        exact = [onnx.helper.make_node("Identity", rounding.input, rounding.output)]
    else:
        exact = _clip_unrounded(graph, rounding)
    at = list(graph.node).index(rounding)
    graph.node.remove(rounding)
    for node in reversed(exact):
        graph.node.insert(at, node)
    _lead_out_planes(graph)
    return result


def _find_rounding(
    graph: onnx.GraphProto,
) -> tuple[list[onnx.NodeProto], onnx.NodeProto | None]:
    """Find the node that rounds the images, and the nodes after it; None if nothing rounds."""
    writers = {name: node for node in graph.node for name in node.output}
    node = writers.get("sr")
    passed = []
    while node is not None and node.op_type in _AFTER_ROUNDING:
        passed.append(node)
        node = writers.get(node.input[0])
    rounds = node is not None and node.op_type in ("Round", "QuantizeLinear")
    return passed, node if rounds else None


def _clip_unrounded(graph: onnx.GraphProto, quantise: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Nodes that scale and clip as quantising to uint8 with zero point 0 does."""
    import numpy as np
    from onnx import helper, numpy_helper

    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    zero = constants[quantise.input[2]]
    assert zero.dtype == np.uint8
    assert not zero.any()
    for name, value in (("unrounded_low", 0), ("unrounded_high", 255)):
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    scaled = f"{quantise.output[0]}_scaled"
    return [
        helper.make_node("Div", [quantise.input[0], quantise.input[1]], [scaled]),
        helper.make_node("Clip", [scaled, "unrounded_low", "unrounded_high"], quantise.output),
    ]


def _lead_out_planes(graph: onnx.GraphProto) -> None:
    """Turn the images `(N, ..., sH, sW, 3)` that a graph outputs into planes, as float."""
    from onnx import TensorProto, helper

    (images,) = [value for value in graph.output if value.name == "sr"]
    rank = len(images.type.tensor_type.shape.dim)
    for node in graph.node:
        for at, name in enumerate(node.output):
            if name == "sr":
                node.output[at] = "sr_images"
    order = [*range(rank - 3), rank - 1, rank - 3, rank - 2]
    graph.node.append(helper.make_node("Transpose", ["sr_images"], ["sr"], perm=order))
    images.CopyFrom(helper.make_tensor_value_info("sr", TensorProto.FLOAT, None))
