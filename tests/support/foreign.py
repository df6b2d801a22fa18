"""Small ONNX graphs as other programs write them: nearest enlargement with a range that shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from vsrc.export.foreign.form import ForeignForm


@dataclass(frozen=True)
class ForeignCase:
    """A graph to write, and the form in which it takes frames."""

    form: ForeignForm
    opset: int = 17
    is_half: bool = False
    size: tuple[int | None, int | None] = (None, None)
    batch: int | None = None


def write_foreign(path: Path, case: ForeignCase) -> Path:
    """Write a graph that gives `max(x, dark)` of the centre frame, enlarged by repetition.

    What is darker than 2 % of white becomes that: fed with another white, the picture is lost.
    """
    form, opset = case.form, case.opset
    channels, scale = form.channels, form.scale
    kind = TensorProto.FLOAT16 if case.is_half else TensorProto.FLOAT
    dtype = np.float16 if case.is_half else np.float32
    frames = form.window if form.axes == "stacked" else 1
    weight = np.zeros((channels * scale**2, channels * frames, 3, 3), dtype)
    for channel in range(channels):
        read = frames // 2 * channels + channel
        weight[channel * scale**2 : (channel + 1) * scale**2, read, 1, 1] = 1
    # A neighbour to the right adds nothing to a flat picture: the receptive field is one pixel.
    weight[:, :, 1, 1] *= dtype(0.75)
    weight[:, :, 1, 2] = weight[:, :, 1, 1] / 3
    dark = np.full(1, 0.02 * form.peak, dtype)
    bias = np.full(len(weight), -0.02 * form.peak, dtype)
    constants = [
        numpy_helper.from_array(weight, "body.0.weight"),
        numpy_helper.from_array(bias, "body.0.bias"),
        numpy_helper.from_array(dark, "dark"),
    ]
    nodes = []
    source = "input"
    if form.axes == "window":
        constants.append(numpy_helper.from_array(np.array(form.window // 2), "middle"))
        nodes.append(helper.make_node("Gather", ["input", "middle"], ["centre"], axis=1))
        source = "centre"
    nodes += [
        helper.make_node("Conv", [source, "body.0.weight", "body.0.bias"], ["a"], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Add", ["b", "dark"], ["c"]),
        helper.make_node("DepthToSpace", ["c"], ["output"], blocksize=scale, mode="CRD"),
    ]
    batch, height, width = case.batch or "N", case.size[0] or "H", case.size[1] or "W"
    shape: list[int | str] = [batch, channels * frames, height, width]
    if form.axes == "window":
        shape = [batch, form.window, channels, height, width]
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("input", kind, shape)],
        [helper.make_tensor_value_info("output", kind, [batch, channels, "sH", "sW"])],
        constants,
    )
    imports = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), path)
    return path
