"""Compute a bilinear skip as a convolution, and shuffle pixels in the layout of images.

    features ─ Conv ─ DepthToSpace ─┐
                                    + ─ Mul 255 ─ Clip ─ Round ─ Transpose ─ Cast ─ sr
    centre ─── Resize ──────────────┘

becomes, with the same values,

    features ─ Conv ───────┐
                           + ─ shuffle ─ Mul 255 ─ Clip ─ Round ─ Cast ─ sr
    centre ─── Pad ─ Conv ─┘

Each phase of the upscaled frame is a 3x3 convolution of the LR frame, whose coefficients are
multiples of 1/64 at scale 4. ONNX Runtime's Resize takes as long as two convolutions of `edge-s` in
int8, this one a quarter of one in float. The channels of the convolutions are put in the order row,
column, colour of a pixel within its block: the shuffle then moves runs of pixels, and its result
has the layout `(N, sH, sW, 3)`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vsrc.calibration.convolutions import BILINEAR
from vsrc.export.graphs.graph_index import (
    GraphIndex,
    attributes_of,
    drop_unread_constants,
    has_values,
)
from vsrc.export.node_writer import NodeWriter

if TYPE_CHECKING:
    import onnx

logger = logging.getLogger(__name__)

COLOURS = 3


def bilinear_taps(scale: int) -> tuple[NDArray[np.int64], int]:
    """Bilinear coefficients of each phase, `(scale, scale, 3, 3)`, and their common denominator.

    The output pixel in row p and column q of the block of LR pixel (y, x) is the sum over i and j
    in 0..2 of LR pixel (y + i - 1, x + j - 1) times coefficient (p, q, i, j) / denominator.
    """
    # Phase p lies (2p + 1 - scale) / (2 scale) pixels from the centre of its LR pixel.
    away, whole = 2 * np.arange(scale) + 1 - scale, 2 * scale
    taps = np.stack([np.maximum(-away, 0), whole - np.abs(away), np.maximum(away, 0)], axis=1)
    common = gcd(*taps.ravel().tolist())
    taps //= common
    return np.einsum("pi,qj->pqij", taps, taps), (whole // common) ** 2


def fold_bilinear_skip(model: onnx.ModelProto) -> int:
    """Rewrite an fp32 graph in place, if it ends as above; otherwise leave it as it is.

    A graph with float output keeps its DepthToSpace: its images have the layout `(N, 3, sH, sW)`.

    Returns:
        Number of skips rewritten, 0 or 1.
    """
    skip = _find_skip(model)
    if skip is None:
        return 0
    index = GraphIndex(model)
    images = index.chain_to(model.graph.output[0].name, *_TO_IMAGES) or [skip.shuffle]
    writer = NodeWriter("bilinear")
    if images[-1].name == skip.add.name and attributes_of(images[1])["perm"] == [0, 2, 3, 1]:
        upscaled = _write_images(model, skip, writer)
        cast, transpose = images[:2]
        cast.input[0] = transpose.input[0]
        gone, reshaped = [transpose], images[2:]
    else:
        upscaled = _write_planes(skip, writer)
        gone, reshaped = [], []
    for node in model.graph.node:
        for at, name in enumerate(node.input):
            if name == skip.add.output[0]:
                node.input[at] = upscaled
    _forget_shapes(model, [*reshaped, skip.add])
    _replace_nodes(model, skip.add, writer, gone=[skip.add, skip.shuffle, skip.resize, *gone])
    _note_same_shape(model, writer, skip.tail.output[0])
    logger.info("the bilinear skip is a convolution of the LR frame")
    return 1


_TO_IMAGES = ("Cast", "Transpose", "Round", "Clip", "Mul", "Add")


@dataclass(frozen=True, eq=False)
class _Skip:
    """Nodes of a skip: `add` sums `resize` of a frame and `shuffle` of the tail's channels."""

    add: onnx.NodeProto
    resize: onnx.NodeProto
    shuffle: onnx.NodeProto
    tail: onnx.NodeProto
    scale: int

    @property
    def centre(self) -> str:
        """Name of the frame, `(N, 3, H, W)`."""
        return str(self.resize.input[0])


def _find_skip(model: onnx.ModelProto) -> _Skip | None:
    index = GraphIndex(model)
    for add in model.graph.node:
        if add.op_type != "Add":
            continue
        paths = [index.chain_to(name, "DepthToSpace", "Conv") for name in add.input]
        resizes = [index.chain_to(name, "Resize") for name in add.input]
        path, resize = paths[0] or paths[1], resizes[0] or resizes[1]
        if path and resize:
            scale = _shuffled_scale(index, *path)
            if scale and _is_bilinear(index, resize[0], scale):
                return _Skip(add, resize[0], path[0], path[1], scale)
    return None


def _shuffled_scale(index: GraphIndex, shuffle: onnx.NodeProto, tail: onnx.NodeProto) -> int | None:
    """Scale of a pixel shuffle of three colours, whose convolution can be rewritten."""
    known = attributes_of(shuffle)
    scale = int(known["blocksize"])
    constants = [index.constant(name) for name in tail.input[1:]]
    fits = known.get("mode") == b"CRD" and len(constants) == 2
    for array, name in zip(constants, tail.input[1:], strict=True):
        fits &= array is not None and len(array) == COLOURS * scale**2
        fits &= index.reader_count(name) == 1
    return scale if fits else None


def _is_bilinear(index: GraphIndex, resize: onnx.NodeProto, scale: int) -> bool:
    known = attributes_of(resize)
    scales = index.constant(resize.input[2]) if len(resize.input) == 3 else None
    return (
        known.get("mode") == b"linear"
        and known.get("coordinate_transformation_mode", b"half_pixel") == b"half_pixel"
        and not known.get("antialias")
        and not known.get("exclude_outside")
        and "axes" not in known
        and has_values(scales, 1, 1, scale, scale)
    )


def _write_images(model: onnx.ModelProto, skip: _Skip, writer: NodeWriter) -> str:
    """Write the sum as images, `(N, sH, sW, 3)`; the tail's channels are put in a new order."""
    from onnx import numpy_helper

    scale = skip.scale
    for tensor in model.graph.initializer:
        if tensor.name in skip.tail.input[1:]:
            by_colour = numpy_helper.to_array(tensor)
            blocks = by_colour.reshape(COLOURS, scale**2, *by_colour.shape[1:]).swapaxes(0, 1)
            ordered = np.ascontiguousarray(blocks).reshape(by_colour.shape)
            tensor.CopyFrom(numpy_helper.from_array(ordered, tensor.name))
    pixels = _write_sum(skip, writer, (0, 1, 2))
    last = writer.node("Transpose", [pixels], perm=[0, 2, 3, 1])
    shape = writer.integers(0, 0, 0, scale, scale * COLOURS)
    split = writer.node("Reshape", [last, shape])
    rows = writer.node("Transpose", [split], perm=[0, 1, 3, 2, 4])
    images = writer.image_shape(skip.centre, scale=scale)
    return writer.node("Reshape", [rows, images])


def _write_planes(skip: _Skip, writer: NodeWriter) -> str:
    """Write the sum as planes, `(N, 3, sH, sW)`."""
    pixels = _write_sum(skip, writer, (2, 0, 1))
    return writer.node("DepthToSpace", [pixels], blocksize=skip.scale, mode="CRD")


def _write_sum(skip: _Skip, writer: NodeWriter, order: tuple[int, int, int]) -> str:
    """Write skip and sum, `(N, 3 s^2, H, W)`.

    Args:
        skip: Nodes to rewrite.
        writer: Takes the nodes.
        order: Axes row, column and colour of a pixel in its block, in the order of the channels.
    """
    scale = skip.scale
    taps, denominator = bilinear_taps(scale)
    kernel = np.zeros((scale, scale, COLOURS, COLOURS, 3, 3), np.float32)
    for colour in range(COLOURS):
        kernel[:, :, colour, colour] = taps / denominator
    weight = kernel.transpose(*order, 3, 4, 5).reshape(-1, COLOURS, 3, 3)
    padded = writer.node("Pad", [skip.centre, writer.integers(*[0, 0, 1, 1] * 2)], mode="edge")
    base = writer.node("Conv", [padded, writer.constant(weight, BILINEAR)], kernel_shape=[3, 3])
    return writer.node("Add", [skip.tail.output[0], base])


def _replace_nodes(
    model: onnx.ModelProto,
    place: onnx.NodeProto,
    writer: NodeWriter,
    *,
    gone: list[onnx.NodeProto],
) -> None:
    """Put the written nodes in the place of one, and remove nodes and unread constants."""
    graph = model.graph
    at = [node.name for node in graph.node].index(place.name)
    names = {node.name for node in gone}
    before = [node for node in graph.node[:at] if node.name not in names]
    after = [node for node in graph.node[at:] if node.name not in names]
    kept = [*before, *writer.nodes, *after]
    del graph.node[:]
    graph.node.extend(kept)
    graph.initializer.extend(writer.constants)
    drop_unread_constants(graph, [tensor.name for tensor in graph.initializer])
    _forget_shapes(model, gone)


def _forget_shapes(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    names = {name for node in nodes for name in node.output}
    values = model.graph.value_info
    for value in [value for value in values if value.name in names]:
        values.remove(value)


def _note_same_shape(model: onnx.ModelProto, writer: NodeWriter, tail: str) -> None:
    """Note that the convolution of the skip gives the shape of the tail's output.

    Only then does ONNX Runtime add the two within the tail: a shape after a Pad it does not know.
    """
    values = model.graph.value_info
    shape = next((value.type for value in values if value.name == tail), None)
    base = next(node.output[0] for node in writer.nodes if node.op_type == "Conv")
    if shape is not None:
        value = values.add(name=base)
        value.type.CopyFrom(shape)
