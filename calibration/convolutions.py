"""The convolutions of a graph, by the names that ranges are kept under."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

ROOT = "network."
"""Where the network hangs in what is traced; no part of a module path."""


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
    """

    key: str
    node: str
    op: str
    input: str
    weight: str
    output: str

    @property
    def channel_axis(self) -> int:
        """The axis of the weight that counts output channels."""
        return 0 if self.op == "Conv" else 1


def convolutions(graph: onnx.GraphProto) -> list[Convolution]:
    """Those of a graph in its order: over pictures, and with weights that are not computed.

    A weight that the exporter folded into a constant has lost its name; the bias beside it has not.
    """
    weights = {tensor.name for tensor in graph.initializer if len(tensor.dims) == 4}
    found = []
    for node in graph.node:
        if node.op_type not in ("Conv", "ConvTranspose") or node.input[1] not in weights:
            continue
        grouped = any(one.name == "group" and one.i != 1 for one in node.attribute)
        if node.op_type == "ConvTranspose" and grouped:
            continue  # its output channels lie on two axes of the weight
        found.append(
            Convolution(
                key=_key(list(node.input[1:])),
                node=node.name,
                op=node.op_type,
                input=node.input[0],
                weight=node.input[1],
                output=node.output[0],
            )
        )
    return found


def _key(parameters: list[str]) -> str:
    for name, suffix in zip(parameters, (".weight", ".bias"), strict=False):
        if name.endswith(suffix):
            return name.removesuffix(suffix).removeprefix(ROOT)
    return parameters[0].removeprefix(ROOT)
