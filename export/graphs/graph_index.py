"""Look up which nodes write and read a value of a graph, to find a sequence of operators in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx


class GraphIndex:
    """The nodes and constants of a graph by the names of values; the graph must not change.

    Args:
        model: Graph to read.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self._writers = {name: node for node in graph.node for name in node.output}
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        self._outputs = {value.name for value in graph.output}
        self._readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self._readers[name].append(node)

    def writer(self, value: str, *operators: str) -> onnx.NodeProto | None:
        """Node that writes a value, if it is of one of these operators."""
        node = self._writers.get(value)
        return node if node is not None and node.op_type in operators else None

    def reader_count(self, value: str) -> int:
        """Number of inputs of nodes, and outputs of the graph, that are this value."""
        return len(self._readers[value]) + (value in self._outputs)

    def constant(self, value: str) -> NDArray[Any] | None:
        """Contents of an initializer; None if the value is computed."""
        from onnx import numpy_helper

        tensor = self._tensors.get(value)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def scalar(self, node: onnx.NodeProto) -> float | None:
        """The one constant with a single element that a node reads; None if there is none."""
        constants = [array for name in node.input if (array := self.constant(name)) is not None]
        return float(constants[0].item()) if len(constants) == 1 == constants[0].size else None

    def computed(self, node: onnx.NodeProto) -> str:
        """First input of a node that is not a constant."""
        return str(next(name for name in node.input if name and name not in self._tensors))

    def chain_to(self, value: str, *operators: str) -> list[onnx.NodeProto] | None:
        """Nodes that lead to a value, the last first, if they are of these operators.

        Each node reads the next one's output, and nothing else reads it.
        """
        nodes: list[onnx.NodeProto] = []
        for operator in operators:
            node = self.writer(value, operator)
            if node is None or self.reader_count(value) != 1:
                return None
            nodes.append(node)
            value = self.computed(node)
        return nodes


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """Attributes of a node by name; strings are bytes."""
    from onnx import helper

    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def drop_unread_constants(graph: onnx.GraphProto, names: Iterable[str]) -> None:
    """Remove those of the named initializers that no node reads any more."""
    read = {name for node in graph.node for name in node.input}
    unread = set(names) - read
    kept = [tensor for tensor in graph.initializer if tensor.name not in unread]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def has_values(array: NDArray[Any] | None, *values: float) -> bool:
    """Whether a constant holds exactly these values, in order."""
    return array is not None and np.array_equal(array.ravel(), values)
