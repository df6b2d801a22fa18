"""Count the multiply-accumulates of a graph by running it, and how many of them are int8."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vsrc.calibration.ort_graph import open_model

if TYPE_CHECKING:
    import onnx

_CONVOLUTIONS = ("Conv", "ConvTranspose", "QLinearConv", "ConvInteger")
_PRODUCTS = ("MatMul", "Gemm", "QLinearMatMul", "MatMulInteger")
_INTEGER = ("QLinearConv", "ConvInteger", "QLinearMatMul", "MatMulInteger")


def count_macs(model: onnx.ModelProto, feeds: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    """Multiply-accumulates of each convolution and matrix product for these inputs.

    Args:
        model: Any graph; those inside of Loop and If are not counted.
        feeds: Input -> value, as for a run.

    Returns:
        Name of the node's first output -> multiply-accumulates.
    """
    from onnx import TensorProto, helper

    probe = type(model)()
    probe.CopyFrom(model)
    nodes = [node for node in model.graph.node if node.op_type in (*_CONVOLUTIONS, *_PRODUCTS)]
    if not nodes:
        return {}
    watched = dict.fromkeys(name for node in nodes for name in _operands(node))
    shapes = {name: f"vsrc_shape_{at}" for at, name in enumerate(watched)}
    for name, shape in shapes.items():
        probe.graph.node.append(helper.make_node("Shape", [name], [shape], name=shape))
    del probe.graph.output[:]
    probe.graph.output.extend(
        helper.make_tensor_value_info(shape, TensorProto.INT64, None) for shape in shapes.values()
    )
    given = open_model(probe, threads=1).run(list(shapes.values()), dict(feeds))
    sides = {
        name: tuple(int(side) for side in np.asarray(shape))
        for name, shape in zip(shapes, given, strict=True)
    }
    return {node.output[0]: _macs(node, sides) for node in nodes}


def int8_share(model: onnx.ModelProto, macs: Mapping[str, int]) -> float:
    """Fraction of the multiply-accumulates whose operands are both int8, 0..1.

    Args:
        model: Graph with Q/DQ pairs, or with integer operators.
        macs: Result of `count_macs` for it.
    """
    makers = {name: node for node in model.graph.node for name in node.output}

    def is_int8(node: onnx.NodeProto) -> bool:
        if node.op_type in _INTEGER:
            return True
        operands = [makers.get(name) for name in node.input[:2]]
        return all(each is not None and each.op_type == "DequantizeLinear" for each in operands)

    whole = sum(macs.values())
    quantised = sum(macs[name] for name in macs if is_int8(makers[name]))
    return quantised / whole if whole else 0.0


def _operands(node: onnx.NodeProto) -> Iterator[str]:
    """Names of the tensors whose shapes say what a node computes: input, weight, output."""
    yield node.input[0]
    yield node.input[3 if node.op_type.startswith("QLinear") else 1]
    yield node.output[0]


def _macs(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> int:
    read, weight, given = (shapes[name] for name in _operands(node))
    if node.op_type in _CONVOLUTIONS:  # a kernel for each output, or for each input spread out
        places = read if node.op_type == "ConvTranspose" else given
        return math.prod(places) * math.prod(weight[1:])
    is_turned = any(each.name == "transA" and each.i for each in node.attribute)
    return math.prod(given) * read[0 if is_turned else -1]
