"""Find out whether a graph is a chain of convolutions that can run on bytes from end to end.

    lr ─ Cast ─ Transpose ─ Mul 1/255 ─┬─ stack ─ Conv ─ Relu ─ ... ─ Conv ─ Relu ─ Conv (tail) ─┐
                                       └─ centre ─ Pad ─ Conv (bilinear) ───────────────────────+
                                       sr ─ Cast ─ Round ─ Clip ─ Mul 255 ─ shuffle ────────────┘

This is what `fold_bilinear_skip` makes of a network like `edge`. Recognised by its operators alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vsrc.calibration.convolutions import BILINEAR, Convolution, convolutions
from vsrc.export.graphs.bilinear_skip import COLOURS
from vsrc.export.graphs.graph_index import GraphIndex, attributes_of, has_values

if TYPE_CHECKING:
    import onnx

_SHUFFLE = ("Reshape", "Transpose", "Reshape", "Transpose")
_TO_BYTES = ("Cast", "Round", "Clip", "Mul", *_SHUFFLE, "Add")


@dataclass(frozen=True)
class ByteChain:
    """A graph in the form above.

    Attributes:
        convolutions: Convolutions in order, the tail last.
        window: Number of frames that are stacked.
        centre: Index of the frame that is upscaled bilinearly.
        scale: SR/LR side ratio.
    """

    convolutions: tuple[Convolution, ...]
    window: int
    centre: int
    scale: int


def find_byte_chain(model: onnx.ModelProto) -> ByteChain | None:
    """Describe a folded fp32 graph, if it has the form above and its last part is a plain 3x3."""
    index = GraphIndex(model)
    end = index.chain_to(model.graph.output[0].name, *_TO_BYTES)
    frames = _frames(model, index)
    if end is None or frames is None or not _is_image(index, end):
        return None
    pixels = end[-1].input
    skips = [index.chain_to(name, "Conv", "Pad") for name in pixels]
    skip = next((skip for skip in skips if skip and skip[0].input[1] == BILINEAR), None)
    chosen = index.writer(skip[1].input[0], "Gather") if skip else None
    if skip is None or chosen is None or chosen.input[0] != frames:
        return None
    centre = index.constant(chosen.input[1]) if attributes_of(chosen).get("axis") == 1 else None
    (tail,) = [name for name in pixels if name != skip[0].output[0]]
    nodes = _chain(index, tail, frames)
    known = {conv.node: conv for conv in convolutions(model.graph)}
    if not nodes or centre is None or not all(node.name in known for node in nodes):
        return None
    dims = model.graph.input[0].type.tensor_type.shape.dim
    scale = round(np.sqrt(len(_constant(index, nodes[-1].input[1])) / COLOURS))
    chain = tuple(known[node.name] for node in nodes)
    return ByteChain(chain, dims[1].dim_value, int(centre.item()), scale)


def _is_image(index: GraphIndex, end: list[onnx.NodeProto]) -> bool:
    """Whether the end of a graph scales, clips and shuffles as above."""
    clip, scaled, to_image, to_rows, to_blocks, to_pixels = end[2:8]
    limits = [index.constant(name) for name in clip.input[1:]]
    blocks = index.constant(to_blocks.input[1])
    return (
        [None if limit is None else float(limit) for limit in limits] == [0, 255]
        and index.scalar(scaled) == 255
        and attributes_of(to_rows)["perm"] == [0, 1, 3, 2, 4]
        and attributes_of(to_pixels)["perm"] == [0, 2, 3, 1]
        and blocks is not None
        and has_values(blocks, 0, 0, 0, blocks[3], COLOURS * blocks[3])
        and index.constant(to_image.input[1]) is None
    )


def _frames(model: onnx.ModelProto, index: GraphIndex) -> str | None:
    """Name of the frames as float `(N, T, 3, H, W)` in [0, 1], if they come from one input."""
    from onnx import TensorProto

    inputs = model.graph.input
    tensor = inputs[0].type.tensor_type
    if len(inputs) != 1 or tensor.elem_type != TensorProto.UINT8 or len(tensor.shape.dim) != 5:
        return None
    for node in model.graph.node:
        if node.op_type != "Mul":
            continue
        factor, before = index.scalar(node), index.computed(node)
        path = index.chain_to(before, "Transpose", "Cast")
        if path and path[1].input[0] == inputs[0].name and factor == np.float32(1 / 255):
            turned = attributes_of(path[0])["perm"] == [0, 1, 4, 2, 3]
            # Stacked, and the centre: nothing else may read them.
            return node.output[0] if turned and index.reader_count(node.output[0]) == 2 else None
    return None


def _chain(index: GraphIndex, tail: str, frames: str) -> list[onnx.NodeProto]:
    """Convolutions from the stack to the tail; empty if other operators lie between."""
    nodes: list[onnx.NodeProto] = []
    value = tail
    while (node := index.writer(value, "Conv")) is not None:
        if index.reader_count(value) != 1 or not _is_plain(index, node):
            return []
        nodes.insert(0, node)
        value = node.input[0]
        stack = index.chain_to(value, "Reshape")
        if stack and stack[0].input[0] == frames:
            return nodes if len(nodes) > 1 else []
        relu = index.chain_to(value, "Relu")
        if relu is None:
            return []
        value = relu[0].input[0]
    return []


def _is_plain(index: GraphIndex, node: onnx.NodeProto) -> bool:
    """Whether a convolution keeps the size, has a bias, and reads each channel everywhere."""
    attributes = attributes_of(node)
    weight = index.constant(node.input[1])
    if weight is None or len(node.input) != 3 or weight.ndim != 4:
        return False
    height, width = weight.shape[2:]
    around = [height // 2, width // 2] * 2
    expected: dict[str, Any] = {"group": 1, "strides": [1, 1], "dilations": [1, 1]}
    return (
        height % 2 == width % 2 == 1
        and attributes.get("pads", [0] * 4) == around
        and attributes.get("auto_pad", b"NOTSET") == b"NOTSET"
        and all(attributes.get(key, value) == value for key, value in expected.items())
        and index.constant(node.input[2]) is not None
    )


def _constant(index: GraphIndex, name: str) -> Any:  # noqa: ANN401  an array of any dtype
    value = index.constant(name)
    assert value is not None
    return value
