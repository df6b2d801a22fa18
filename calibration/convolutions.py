"""The convolutions of a graph, by the names that ranges are kept under."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

ROOT = "network."
"""Where the network hangs in what is traced; no part of a module path."""
_MOVES = (
    *("Cast", "Transpose", "Reshape", "Gather", "Slice", "Split", "Squeeze", "Unsqueeze", "Concat"),
    *("Pad", "SpaceToDepth", "Expand", "Identity"),
)
"""Operators that give the values they took."""


@dataclass(frozen=True)
class Convolution:
    """A convolution with fixed weights.

    Attributes:
        key: Module path in the deployed network.
        node: Name of its node.
        op: `Conv` or `ConvTranspose`.
        input: Tensor that it reads.
        weight: Initializer, `(O, I, ...)`; `(I, O, ...)` of a `ConvTranspose`.
        output: Tensor that it gives.
        unit: Value of the input that the network calls 1. The simplifier folds the factor 1/255
            into a first convolution where it can; that one reads 0..255, and its weights are 255
            times smaller than those of the module.
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
        """The axis of the weight that counts output channels."""
        return 0 if self.op == "Conv" else 1


def convolutions(graph: onnx.GraphProto) -> list[Convolution]:
    """Those of a graph in its order: over pictures, and with weights that are not computed.

    A weight that the exporter folded into a constant has lost its name; the bias beside it has not.
    """
    weights = {tensor.name for tensor in graph.initializer if len(tensor.dims) == 4}
    pictures = _pictures(graph)
    listed = []
    for node in graph.node:
        if node.op_type not in ("Conv", "ConvTranspose") or node.input[1] not in weights:
            continue
        grouped = any(
            attribute.name == "group" and attribute.i != 1 for attribute in node.attribute
        )
        if node.op_type == "ConvTranspose" and grouped:
            continue  # its output channels lie on two axes of the weight
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
    """Tensors that hold values of pictures as they came in, 0..255."""
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
