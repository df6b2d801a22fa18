"""Write nodes and constants of a graph, each under a name of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx


class NodeWriter:
    """Nodes and constants in the order in which they are written.

    Attributes:
        nodes: Nodes, each after those whose outputs it reads.
        constants: Initializers.

    Args:
        prefix: Start of all names.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(
        self,
        operator: str,
        inputs: Sequence[str],
        *,
        name: str | None = None,
        output: str | None = None,
        **attributes: Any,  # noqa: ANN401  as ONNX takes them
    ) -> str:
        """Write a node; returns the name of its output.

        Args:
            operator: ONNX operator.
            inputs: Names of values.
            name: Name of the node and start of that of its output; None to number it.
            output: Name of its output, where others know it.
            attributes: Attributes of the operator.
        """
        (given,) = self.nodes_of(operator, inputs, 1, name=name, **attributes)
        if output is None:
            return given
        self.nodes[-1].output[0] = output
        return output

    def nodes_of(
        self,
        operator: str,
        inputs: Sequence[str],
        count: int,
        *,
        name: str | None = None,
        **attributes: Any,  # noqa: ANN401
    ) -> list[str]:
        """Write a node with several outputs; see `node`."""
        from onnx import helper

        name = name or f"{self._prefix}_{operator}_{len(self.nodes)}"
        outputs = [f"{name}_out{at if count > 1 else ''}" for at in range(count)]
        self.nodes.append(helper.make_node(operator, inputs, outputs, name=name, **attributes))
        return outputs

    def constant(self, value: NDArray[np.generic] | np.generic, name: str | None = None) -> str:
        """Write an initializer; returns its name."""
        from onnx import numpy_helper

        name = name or f"{self._prefix}_constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def integers(self, *values: int) -> str:
        """Write a 1-D constant of int64, as shapes and axes are."""
        return self.constant(np.array(values, np.int64))

    def image_shape(self, source: str, *, scale: int) -> str:
        """Write the shape `(N, sH, sW, 3)` of the images upscaled from a value.

        Args:
            source: Name of a value with N at axis 0, and H and W at axes 2 and 3.
            scale: s.
        """
        batch = self.node("Shape", [source], start=0, end=1)
        sides = self.node("Shape", [source], start=2, end=4)
        scaled = self.node("Mul", [sides, self.integers(scale, scale)])
        return self.node("Concat", [batch, scaled, self.integers(3)], axis=0)
