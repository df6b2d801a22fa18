"""Write the graphs that `vsrc bench` measures rates with, to runtime/assets/.

    python benchmarks/rate_graphs.py

    matmul-uint8.onnx   c = a b, quantised           uint8 by int8, as int8-cpu graphs
    matmul-int8.onnx    the same                     int8 by int8, as int8 graphs on a CPU
    chain-float32.onnx  c = a b b ... b, 16 times    for devices: much work, little to carry
    chain-float16.onnx  the same
    chain-int8.onnx     the same, Q/DQ around each   float16 edges, as int8 graphs for NVIDIA

matmul.onnx, c = a b in float32, is older.
"""

from __future__ import annotations

from itertools import pairwise

import onnx
from onnx import TensorProto, helper

from vsrc.runtime.latency.rates import MATMUL_GRAPH

SIDE = 512
LINKS = 16
OPSET, IR_VERSION = 13, 7


def main() -> None:
    folder = MATMUL_GRAPH.parent
    graphs = {
        "matmul-uint8": quantised_matmul(TensorProto.UINT8),
        "matmul-int8": quantised_matmul(TensorProto.INT8),
        "chain-float32": chain(TensorProto.FLOAT),
        "chain-float16": chain(TensorProto.FLOAT16),
        "chain-int8": quantised_chain(),
    }
    for name, model in graphs.items():
        onnx.checker.check_model(model)
        onnx.save(model, folder / f"{name}.onnx")


def quantised_matmul(kind: int) -> onnx.ModelProto:
    """B is constant, so that it is packed once, as the weights of a convolution are."""
    one = helper.make_tensor("one", TensorProto.INT8, [1], [1])
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["b"], value=one),
        helper.make_node(
            "QLinearMatMul",
            ["a", "scale", "zero", "b", "scale", "zero_b", "scale_c", "zero"],
            ["c"],
        ),
    ]
    constants = [
        helper.make_tensor("shape", TensorProto.INT64, [2], [SIDE, SIDE]),
        helper.make_tensor("scale", TensorProto.FLOAT, [], [1.0]),
        helper.make_tensor("scale_c", TensorProto.FLOAT, [], [512.0]),
        helper.make_tensor("zero", kind, [], [0]),
        helper.make_tensor("zero_b", TensorProto.INT8, [], [0]),
    ]
    value = helper.make_tensor_value_info
    return model_of(
        nodes, [value("a", kind, ["m", SIDE])], [value("c", kind, ["m", SIDE])], constants
    )


def chain(kind: int) -> onnx.ModelProto:
    names = ["a", *(f"c{at}" for at in range(1, LINKS)), "c"]
    nodes = [helper.make_node("MatMul", [left, "b"], [right]) for left, right in pairwise(names)]
    return model_of(nodes, *square_edges(kind))


def quantised_chain() -> onnx.ModelProto:
    """Each product takes its operands through int8, with zero points of 0."""
    nodes = quantise("b", "b8")
    name = "a"
    for at in range(LINKS):
        product = "c" if at == LINKS - 1 else f"c{at + 1}"
        nodes += quantise(name, f"a8_{at}")
        nodes.append(helper.make_node("MatMul", [f"a8_{at}", "b8"], [product]))
        name = product
    constants = [
        helper.make_tensor("scale", TensorProto.FLOAT16, [], [0.03125]),
        helper.make_tensor("zero", TensorProto.INT8, [], [0]),
    ]
    # Types of the scales decide the type between: float16 needs opset 19.
    return model_of(nodes, *square_edges(TensorProto.FLOAT16), constants, opset=19, ir_version=9)


def quantise(name: str, to: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("QuantizeLinear", [name, "scale", "zero"], [f"{to}_q"]),
        helper.make_node("DequantizeLinear", [f"{to}_q", "scale", "zero"], [to]),
    ]


def square_edges(kind: int) -> tuple[list[onnx.ValueInfoProto], list[onnx.ValueInfoProto]]:
    value = helper.make_tensor_value_info
    inputs = [value(name, kind, ["n", "n"]) for name in ("a", "b")]
    return inputs, [value("c", kind, ["n", "n"])]


def model_of(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    constants: list[onnx.TensorProto] | None = None,
    *,
    opset: int = OPSET,
    ir_version: int = IR_VERSION,
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "matmul", inputs, outputs, constants or [])
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version
    )


if __name__ == "__main__":
    main()
