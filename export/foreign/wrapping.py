"""Write a graph of a package around a foreign one.

    lr ─ frames, colour, range ─ the foreign graph, unchanged ─ centre, colour, range ─ sr

The foreign nodes keep their opset; names of its tensors get the prefix `network.`, under which
calibration knows weights by their own names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vsrc.export.foreign.form import TO_YCBCR, YCBCR_OFFSET, ForeignForm
from vsrc.export.foreign.original import OriginalGraph, opset_of_model
from vsrc.export.node_writer import NodeWriter
from vsrc.runtime.spec import GraphIo, GraphLayout

if TYPE_CHECKING:
    import onnx

PREFIX = "network."
EDGES = "vsrc_edge"
"""Start of the names of nodes and values around it."""


def wrap(
    original: OriginalGraph, form: ForeignForm, *, graph_io: GraphIo, layout: GraphLayout
) -> onnx.ModelProto:
    """Return a graph with the inputs and outputs of a package's graph.

    Args:
        original: A float32 graph, from `normalise`.
        form: How it is fed.
        graph_io: Type of inputs and outputs.
        layout: Axes of float frames, see `GraphSpec`.
    """
    import onnx

    inner = onnx.compose.add_prefix(original.model, PREFIX)
    writer = NodeWriter(EDGES)
    edges = _Edges(writer, opset_of_model(inner))
    frames = edges.frames(form, graph_io, layout)
    edges.feed(frames, form, graph_io, f"{PREFIX}{original.input}")
    writer.nodes += list(inner.graph.node)
    sr = edges.read(f"{PREFIX}{original.output}", frames, form, graph_io)
    edges.leave(sr, graph_io)
    graph = onnx.helper.make_graph(
        writer.nodes,
        "vsrc",
        [_lr(original, form, graph_io, layout)],
        [_sr(original, form, graph_io)],
        [*inner.graph.initializer, *writer.constants],
    )
    model = onnx.helper.make_model(graph, producer_name="vsrc", ir_version=inner.ir_version)
    del model.opset_import[:]
    model.opset_import.extend(inner.opset_import)
    model.functions.extend(inner.functions)
    onnx.checker.check_model(model)
    return model


def _lr(
    original: OriginalGraph, form: ForeignForm, graph_io: GraphIo, layout: GraphLayout
) -> onnx.ValueInfoProto:
    from onnx import TensorProto, helper

    batch, height, width = _free_sides(original)
    if graph_io == "uint8":
        return helper.make_tensor_value_info(
            "lr", TensorProto.UINT8, [batch, form.window, height, width, 3]
        )
    stacked = [batch, 3 * form.window, height, width]
    sides = stacked if layout == "stacked" else [batch, form.window, 3, height, width]
    return helper.make_tensor_value_info("lr", TensorProto.FLOAT, sides)


def _sr(original: OriginalGraph, form: ForeignForm, graph_io: GraphIo) -> onnx.ValueInfoProto:
    from onnx import TensorProto, helper

    batch, *sides = _free_sides(original)
    height, width = (
        side * form.scale if isinstance(side, int) else f"{form.scale}*{side}" for side in sides
    )
    if graph_io == "uint8":
        return helper.make_tensor_value_info("sr", TensorProto.UINT8, [batch, height, width, 3])
    return helper.make_tensor_value_info("sr", TensorProto.FLOAT, [batch, 3, height, width])


def _free_sides(original: OriginalGraph) -> list[int | str]:
    axes = (original.shape[0], *original.shape[-2:])
    return [have or name for have, name in zip(axes, ("n", "h", "w"), strict=True)]


class _Edges:
    """Nodes before and behind a foreign graph.

    Args:
        writer: Where they are written.
        opset: Operator set of the graph.
    """

    def __init__(self, writer: NodeWriter, opset: int) -> None:
        self._writer, self._opset = writer, opset

    def frames(self, form: ForeignForm, graph_io: GraphIo, layout: GraphLayout) -> list[str]:
        """Split `lr` into its frames: `(N, H, W, 3)` in 0..255, or `(N, 3, H, W)` in [0, 1]."""
        if graph_io == "uint8":
            source = self._writer.node("Cast", ["lr"], to=1)
            return [self._gather(source, at, axis=1) for at in range(form.window)]
        if layout == "stacked":
            if form.window == 1:
                return ["lr"]
            places = [list(range(3 * at, 3 * at + 3)) for at in range(form.window)]
            return [self._gather("lr", place, axis=1) for place in places]
        return [self._gather("lr", at, axis=1) for at in range(form.window)]

    def feed(self, frames: list[str], form: ForeignForm, graph_io: GraphIo, name: str) -> None:
        """Convert frames to the input of the foreign graph, called `name`."""
        planes = [self._planes(frame, form, graph_io) for frame in frames]
        if form.axes == "window":
            axis = self._writer.constant(np.array([1], np.int64))
            planes = [self._unsqueezed(plane, axis) for plane in planes]
        joined = planes[0] if len(planes) == 1 else self._writer.node("Concat", planes, axis=1)
        self._writer.node("Identity", [joined], output=name)

    def _planes(self, frame: str, form: ForeignForm, graph_io: GraphIo) -> str:
        """Convert a frame to `(N, C, H, W)` in the range and the colour of the foreign graph."""
        white = 255.0 if graph_io == "uint8" else 1.0
        if form.colour == "y":
            frame = self._ycbcr(frame, graph_io, white, rows=slice(0, 1))
        elif graph_io == "uint8":
            frame = self._writer.node("Transpose", [frame], perm=[0, 3, 1, 2])
        if form.colour == "bgr":
            frame = self._gather(frame, [2, 1, 0], axis=1)
        return self._scaled(frame, form.peak / white)

    def _ycbcr(self, frame: str, graph_io: GraphIo, white: float, *, rows: slice) -> str:
        """Luma or chroma of a frame, `(N, 1 or 2, H, W)`, in 0..white."""
        if graph_io == "float":
            frame = self._writer.node("Transpose", [frame], perm=[0, 2, 3, 1])
        planes = self._linear(frame, TO_YCBCR[rows], YCBCR_OFFSET[rows] * white)
        return self._writer.node("Transpose", [planes], perm=[0, 3, 1, 2])

    def read(self, given: str, frames: list[str], form: ForeignForm, graph_io: GraphIo) -> str:
        """Convert the output of the foreign graph to `(N, 3, sH, sW)` in 0..255 or [0, 1]."""
        white = 255.0 if graph_io == "uint8" else 1.0
        middle = form.frames_given // 2
        if form.output_rank == 5:
            given = self._gather(given, middle, axis=1)
        elif form.frames_given > 1:
            first = middle * form.channels
            given = self._gather(given, list(range(first, first + form.channels)), axis=1)
        sr = self._scaled(given, white / form.peak)
        if form.colour == "bgr":
            return self._gather(sr, [2, 1, 0], axis=1)
        if form.colour != "y":
            return sr
        chroma = self._ycbcr(frames[len(frames) // 2], graph_io, white, rows=slice(1, 3))
        if form.scale > 1:
            chroma = self._enlarged(chroma, form.scale)
        ycbcr = self._writer.node(
            "Transpose", [self._writer.node("Concat", [sr, chroma], axis=1)], perm=[0, 2, 3, 1]
        )
        back = np.linalg.inv(TO_YCBCR)
        rgb = self._linear(ycbcr, back, -back @ YCBCR_OFFSET * white)
        return self._writer.node("Transpose", [rgb], perm=[0, 3, 1, 2])

    def leave(self, sr: str, graph_io: GraphIo) -> None:
        """Clip, and for pictures round, to the output `sr`."""
        largest = 255.0 if graph_io == "uint8" else 1.0
        low, high = (
            self._writer.constant(np.float32(value), f"{EDGES}_{name}")
            for name, value in (("low", 0.0), ("high", largest))
        )
        if graph_io == "float":
            self._writer.node("Clip", [sr, low, high], output="sr")
            return
        rounded = self._writer.node("Round", [self._writer.node("Clip", [sr, low, high])])
        pictures = self._writer.node("Transpose", [rounded], perm=[0, 2, 3, 1])
        self._writer.node("Cast", [pictures], to=2, output="sr")

    def _gather(self, source: str, at: int | list[int], *, axis: int) -> str:
        """Take one index (the axis goes) or several (it stays)."""
        return self._writer.node(
            "Gather", [source, self._writer.constant(np.array(at, np.int64))], axis=axis
        )

    def _scaled(self, source: str, factor: float) -> str:
        if factor == 1.0:
            return source
        return self._writer.node("Mul", [source, self._writer.constant(np.float32(factor))])

    def _linear(
        self, pictures: str, matrix: np.ndarray[Any, Any], offset: np.ndarray[Any, Any]
    ) -> str:
        """Map the channels of `(N, H, W, C)`; not a convolution, so that it is never int8."""
        weights = self._writer.constant(matrix.T.astype(np.float32).copy())
        product = self._writer.node("MatMul", [pictures, weights])
        return self._writer.node("Add", [product, self._writer.constant(offset.astype(np.float32))])

    def _unsqueezed(self, source: str, axis: str) -> str:
        if self._opset >= 13:  # before that, axes were an attribute
            return self._writer.node("Unsqueeze", [source, axis])
        return self._writer.node("Unsqueeze", [source], axes=[1])

    def _enlarged(self, planes: str, scale: int) -> str:
        """Upscale bicubically, a = -0.5; the border pixel is repeated beyond the frame."""
        scales = self._writer.constant(np.array([1, 1, scale, scale], np.float32))
        roi = "" if self._opset >= 13 else self._writer.constant(np.array([], np.float32))
        return self._writer.node(
            "Resize",
            [planes, roi, scales],
            mode="cubic",
            cubic_coeff_a=-0.5,
            coordinate_transformation_mode="half_pixel",
        )
