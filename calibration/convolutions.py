"""The convolutions of a graph, under the module paths that key their ranges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

ROOT = "network."
"""Prefix of the network in the traced module; not part of a module path."""
BILINEAR = "bilinear_kernel"
"""Name of the weight of a convolution that upscales a frame bilinearly. It holds no parameters and
stays float, so it is not listed here."""
_MOVES = (
    *("Cast", "Transpose", "Reshape", "Gather", "Slice", "Split", "Squeeze", "Unsqueeze", "Concat"),
    *("Pad", "SpaceToDepth", "Expand", "Identity"),
)
"""Operators whose output values are those of their input."""


@dataclass(frozen=True)
class Convolution:
    """A convolution with constant weights.

    Attributes:
        key: Module path in the deployed network.
        node: Name of the node in the graph.
        op: Operator, `Conv` or `ConvTranspose`.
        input: Name of the input tensor.
        weight: Name of the initializer, `(O, I, ...)`; `(I, O, ...)` for a `ConvTranspose`.
        output: Name of the output tensor.
        unit: Input value that corresponds to 1 in the module. The simplifier folds the factor
            1/255 into a first convolution where it can; that convolution then reads 0..255, and
            its weights are 255 times smaller than those of the module.
    """

    key: str
    node: str
    op: str
    input: str
    weight: str
    output: str
    unit: float = 1.0

    @property
    def channel_axis(self) -> int:
        """Axis of the weight that holds the output channels."""
        return 0 if self.op == "Conv" else 1


def convolutions(graph: onnx.GraphProto) -> list[Convolution]:
    """List the 2-D convolutions of a graph with constant weights, in graph order.

    A weight that the exporter folded into a constant has lost its name; the bias beside it has not.
    """
    weights = {tensor.name for tensor in graph.initializer if len(tensor.dims) == 4}
    weights.discard(BILINEAR)
    pictures = _pictures(graph)
    listed = []
    for node in graph.node:
        if node.op_type not in ("Conv", "ConvTranspose") or node.input[1] not in weights:
            continue
        grouped = any(
            attribute.name == "group" and attribute.i != 1 for attribute in node.attribute
        )
        if node.op_type == "ConvTranspose" and grouped:
            continue  # its output channels span two axes of the weight
        listed.append(
            Convolution(
                key=_key(list(node.input[1:])),
                node=node.name,
                op=node.op_type,
                input=node.input[0],
                weight=node.input[1],
                output=node.output[0],
                unit=255.0 if node.input[0] in pictures else 1.0,
            )
        )
    return listed


def _pictures(graph: onnx.GraphProto) -> set[str]:
    """Names of tensors that hold the unscaled values of the input frames, 0..255."""
    from onnx import TensorProto

    uint8 = TensorProto.UINT8
    pictures = {value.name for value in graph.input if value.type.tensor_type.elem_type == uint8}
    for node in graph.node:
        if node.op_type in _MOVES:
            read = node.input if node.op_type == "Concat" else node.input[:1]
            if all(name in pictures for name in read):
                pictures.update(node.output)
    return pictures


def _key(parameters: list[str]) -> str:
    for name, suffix in zip(parameters, (".weight", ".bias"), strict=False):
        if name.endswith(suffix):
            return name.removesuffix(suffix).removeprefix(ROOT)
    return parameters[0].removeprefix(ROOT)
