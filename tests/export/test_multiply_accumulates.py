"""Multiply-accumulates, against numbers worked by hand and PyTorch's shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from vsrc.export.multiply_accumulates import count_macs, int8_share

FLOAT = onnx.TensorProto.FLOAT


def _model(
    nodes: list[onnx.NodeProto], shape: list[int], constants: dict[str, tuple[int, ...]]
) -> onnx.ModelProto:
    tensors = [
        numpy_helper.from_array(np.ones(size, np.float32), name) for name, size in constants.items()
    ]
    graph = helper.make_graph(
        nodes,
        "counted",
        [helper.make_tensor_value_info("x", FLOAT, [None] * len(shape))],
        [helper.make_tensor_value_info(nodes[-1].output[0], FLOAT, None)],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.mark.parametrize(
    ("operator", "attributes", "shape", "weight", "macs"),
    [
        # 5 x 3 outputs a channel, 7 of them, each from 4 channels of 3 x 3
        ("Conv", {"pads": [1] * 4}, [1, 4, 5, 3], (7, 4, 3, 3), 5 * 3 * 7 * 4 * 9),
        ("Conv", {"strides": [2, 2]}, [2, 4, 7, 5], (7, 4, 3, 3), 2 * 3 * 2 * 7 * 4 * 9),
        ("Conv", {"group": 4, "pads": [1] * 4}, [1, 4, 5, 3], (4, 1, 3, 3), 5 * 3 * 4 * 9),
        # each of 5 x 3 inputs a channel is spread over 2 channels of 4 x 4
        ("ConvTranspose", {"strides": [2, 2]}, [1, 6, 5, 3], (6, 2, 4, 4), 5 * 3 * 6 * 2 * 16),
        ("MatMul", {}, [2, 5, 3], (3, 7), 2 * 5 * 3 * 7),
        ("Gemm", {"transB": 1}, [5, 3], (7, 3), 5 * 3 * 7),
        ("Gemm", {"transA": 1}, [3, 5], (3, 7), 5 * 3 * 7),
    ],
)
def test_counts_of_one_operator(
    operator: str,
    attributes: dict[str, Any],
    shape: list[int],
    weight: tuple[int, ...],
    macs: int,
) -> None:
    node = helper.make_node(operator, ["x", "w"], ["y"], **attributes)
    model = _model([node], shape, {"w": weight})
    assert count_macs(model, {"x": np.ones(shape, np.float32)}) == {"y": macs}


def test_share_counts_work_and_not_layers() -> None:
    # 9 of 10 parts of the work are behind a pair, on both sides; a pair on one side is float.
    constants = {"a": (9, 2, 1, 1), "b": (1, 9, 1, 1), "one": (), "small": (9, 2, 1, 1)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "one"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "one"], ["d"]),
        helper.make_node("QuantizeLinear", ["small", "one"], ["w"]),
        helper.make_node("DequantizeLinear", ["w", "one"], ["weight"]),
        helper.make_node("Conv", ["d", "weight"], ["y"]),
        helper.make_node("QuantizeLinear", ["y", "one"], ["qy"]),
        helper.make_node("DequantizeLinear", ["qy", "one"], ["dy"]),
        helper.make_node("Conv", ["dy", "b"], ["z"]),
    ]
    model = _model(nodes, [1, 2, 4, 4], constants)
    macs = count_macs(model, {"x": np.ones((1, 2, 4, 4), np.float32)})
    assert macs == {"y": 16 * 18, "z": 16 * 9}
    assert int8_share(model, macs) == pytest.approx(18 / 27)
