"""Transposed convolutions written as convolutions give what torch's own give."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from vsrc.export.graphs.subpixel_convolution import replace_transposed


def _model(layer: torch.nn.ConvTranspose2d) -> onnx.ModelProto:
    tensors = {"up.weight": layer.weight, "up.bias": layer.bias}
    constants = [
        numpy_helper.from_array(value.detach().numpy(), name)
        for name, value in tensors.items()
        if value is not None
    ]
    node = helper.make_node(
        *("ConvTranspose", ["x", *(each.name for each in constants)], ["y"]),
        name="up",
        strides=layer.stride,
        pads=[*layer.padding, *layer.padding],
        output_padding=layer.output_padding,
        group=layer.groups,
    )
    value, FLOAT = helper.make_tensor_value_info, onnx.TensorProto.FLOAT  # noqa: N806
    graph = helper.make_graph(
        [node], "up", [value("x", FLOAT, None)], [value("y", FLOAT, None)], constants
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def _run(model: onnx.ModelProto, x: NDArray[np.float32]) -> NDArray[np.float32]:
    results = ReferenceEvaluator(model).run(None, {"x": x})
    assert isinstance(results, list)
    return np.asarray(results[0])


# FSRCNN's at each scale, a kernel as large as its stride, an even one, and one without bias.
@pytest.mark.parametrize(
    ("kernel", "stride", "pad", "extra", "bias"),
    [
        *[(9, 2, 4, 1, True), (9, 3, 4, 2, True), (9, 4, 4, 3, True), (9, 4, 3, 1, True)],
        *[(2, 2, 0, 0, True), (4, 2, 1, 0, False), (3, 3, 0, 0, False)],
    ],
)
def test_output_is_that_of_torch(
    kernel: int, stride: int, pad: int, extra: int, bias: bool
) -> None:
    torch.manual_seed(0)
    layer = torch.nn.ConvTranspose2d(
        5, 3, kernel, stride=stride, padding=pad, output_padding=extra, bias=bias
    )
    x = torch.rand(2, 5, 7, 6)
    model = _model(layer)
    assert replace_transposed(model) == 1
    assert {node.op_type for node in model.graph.node} == {"Conv", "DepthToSpace"}
    assert {tensor.name for tensor in model.graph.initializer} <= {"up.weight", "up.bias"}
    expected = layer(x).detach().numpy()
    np.testing.assert_allclose(_run(model, x.numpy()), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        torch.nn.ConvTranspose2d(4, 3, 9, stride=4, padding=4, output_padding=2),  # 4 L - 1
        torch.nn.ConvTranspose2d(4, 3, 3, padding=1),  # no upscaling
    ],
)
def test_others_stay(layer: torch.nn.ConvTranspose2d) -> None:
    model = _model(layer)
    before = model.SerializeToString()
    assert replace_transposed(model) == 0
    assert model.SerializeToString() == before


def test_grouped_stay() -> None:
    layer = torch.nn.ConvTranspose2d(4, 4, 2, stride=2, groups=2)
    assert replace_transposed(_model(layer)) == 0
