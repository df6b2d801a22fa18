"""Graph that finds a result that reduced precision has left black or white, on the device.

    lr, sr --> guard-x4 --> corrupted       1 if `vsrc.runtime.windows.guard.is_corrupted`, else 0

Results that stay on the device are checked there; only the answer is copied to the host. The rule
is that of the CPU: in some channel, all pixels of the result over 3 x 3 pixels of the source are
black (or all white), and none of these nine is near black (or white).

    input or output     shape
    lr                  (H, W, 3)        uint8
    sr                  (sH, sW, 3)      uint8
    corrupted           (1,)             uint8
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vsrc.export.graphs.colour_graphs import OPSET
from vsrc.export.node_writer import NodeWriter
from vsrc.runtime.backends.device.video_engines import guard_name
from vsrc.runtime.windows.guard import AWAY_SHARE

if TYPE_CHECKING:
    import onnx

_WHITE = 255
_SIDE = 3
"""Side of the region, pixels of the source."""


def guard_graph(scale: int) -> onnx.ModelProto:
    """Write the graph for results that are `scale` times as large, of frames from 3 x 3 on."""
    from onnx import TensorProto, helper

    writer = NodeWriter(guard_name(scale))
    lr, sr = (_planes(writer, name) for name in ("lr", "sr"))
    white = writer.constant(np.float32(_WHITE))
    parts = [
        _is_black(writer, lr, sr, scale),
        # White is black of the negative.
        _is_black(writer, writer.node("Sub", [white, lr]), writer.node("Sub", [white, sr]), scale),
    ]
    largest = writer.node("ReduceMax", [writer.node("Max", parts)], keepdims=0)
    writer.node("Cast", [writer.node("Unsqueeze", [largest, writer.integers(0)])],
                output="corrupted", to=TensorProto.UINT8)  # fmt: skip
    ends = {"lr": ("H", "W", 3), "sr": ("sH", "sW", 3)}
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.UINT8, shape)
        for name, shape in ends.items()
    ]
    output = helper.make_tensor_value_info("corrupted", TensorProto.UINT8, (1,))
    graph = helper.make_graph(writer.nodes, guard_name(scale), inputs, [output], writer.constants)
    opset = helper.make_opsetid("", OPSET)
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    return model


def _planes(writer: NodeWriter, name: str) -> str:
    """Convert bytes `(h, w, 3)` to float32 `(1, 3, h, w)`."""
    value = writer.node("Cast", [name], to=1)
    batched = writer.node("Unsqueeze", [value, writer.integers(0)])
    return writer.node("Transpose", [batched], perm=[0, 3, 1, 2])


def _is_black(writer: NodeWriter, lr: str, sr: str, scale: int) -> str:
    """1 where a region is black and should not be, else 0; `(1, 3, H - 2, W - 2)`."""
    zero, one = (writer.constant(np.float32(value)) for value in (0, 1))
    sides = [scale, scale]
    brightest = writer.node("MaxPool", [sr], kernel_shape=sides, strides=sides)
    # Values are integers: one minus the brightest is 1 where all are 0, and never above.
    is_black = writer.node("Max", [writer.node("Sub", [one, brightest]), zero])
    away = writer.constant(np.float32(int(AWAY_SHARE * _WHITE)))
    is_bright = writer.node("Max", [writer.node("Sub", [lr, away]), zero])
    is_bright = writer.node("Min", [is_bright, one])
    hit = writer.node("Mul", [is_black, is_bright])
    # The least of nine, as MaxPool of what is left to 1.
    lacks = writer.node("Sub", [one, hit])
    region = [_SIDE, _SIDE]
    most = writer.node("MaxPool", [lacks], kernel_shape=region, strides=[1, 1])
    return writer.node("Sub", [one, most])
