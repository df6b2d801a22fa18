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

_AFTER_ROUNDING = ("Cast", "Transpose", "Reshape", "Unsqueeze", "Squeeze")


def unround(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a float32 copy with half values rounded as on a device, and unrounded outputs.

    Its `sr` is float32 `(N, ..., 3, sH, sW)`: in 0..255, clipped, for a uint8 graph; unchanged
    for a float graph. An encode graph returns its features.
    """
    import onnx

    result = as_rounded(model)
    graph = result.graph
    writers = {name: node for node in graph.node for name in node.output}
    node = writers.get("sr")
    passed = []
    while node is not None and node.op_type in _AFTER_ROUNDING:
        passed.append(node)
        node = writers.get(node.input[0])
    if node is None or node.op_type != "Round":
        return result
    for after in (*passed, node):
        graph.node.remove(after)
    graph.node.append(onnx.helper.make_node("Identity", [node.input[0]], ["sr"]))
    for value in list(graph.output):
        if value.name == "sr":
            graph.output.remove(value)
            graph.output.append(
                onnx.helper.make_tensor_value_info("sr", onnx.TensorProto.FLOAT, None)
            )
    return result
