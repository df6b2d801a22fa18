"""Convert a float32 graph to half precision, except where that is not accurate enough.

    lr uint8 ─ enter (float32) ─ Cast ─ network (float16) ─ Cast ─ leave (float32) ─ sr uint8

Rules, by which a node stays in float32:
  1. It belongs to the graph's inputs or outputs: the casts, the factor 255 and the rounding around
  the network. 2. It samples at computed positions, or computes these positions: in half precision
  they are off
     by 0.3 pixels at a width of 1280.
  3. One of its constants is not representable in half precision: too large, or a scalar that
     becomes zero.
  4. Its operator accepts only float32 at this opset (quantisation before 19).
  5. It divides by, or takes a root or logarithm of, a computed value: small numbers underflow.
  6. The caller names it: see `vsrc.export.graphs.overflow`.

The types end up in the graph as Cast nodes; TensorRT's strongly typed builder follows
them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.errors import MismatchError

if TYPE_CHECKING:
    import onnx

_ALWAYS_SINGLE = {"Resize": (1, 2)}
"""Operator -> inputs that ONNX declares as float32 (scales), or that are not data (roi)."""

_SAMPLERS = ("GridSample",)
_ENDS_OF_POSITIONS = ("Conv", "ConvTranspose", "MatMul", "Gemm", "GridSample")
_EDGE_OPERATORS = ("Cast", "Transpose", "Mul", "Clip", "Round")
_SENSITIVE = ("Reciprocal", "Sqrt", "Log")
_QUANTISATION = ("QuantizeLinear", "DequantizeLinear")
_HALF_QUANTISATION_OPSET = 19


def to_half(
    model: onnx.ModelProto, *, keep: Collection[str] = (), halve: Collection[str] = ()
) -> int:
    """Convert in place; the graph's inputs and outputs keep their types, except those in `halve`.

    Args:
        model: float32 graph with named nodes.
        keep: Names of nodes that stay in float32 (rule 6).
        halve: Inputs and outputs that become half: features between encode and fuse.

    Returns:
        Number of nodes that compute in half precision.

    Raises:
        MismatchError: A node has a subgraph (If, Loop).
    """
    types = value_types(model)
    rewriter = _Rewriter(
        model, types, single={*keep, *select_float32_nodes(model, types)}, halve=halve
    )
    count = sum(rewriter.take(node) for node in model.graph.node)
    rewriter.finish()
    return count


def select_float32_nodes(model: onnx.ModelProto, types: dict[str, int]) -> set[str]:
    """Names of the nodes that rules 1 to 5 keep in float32."""
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    constants = {tensor.name for tensor in model.graph.initializer}
    kept = _edges(model) | _positions(model, types) | _select_lost_constants(model)
    for node in model.graph.node:
        divides = node.op_type == "Div" and node.input[1] not in constants
        too_old = node.op_type in _QUANTISATION and opset < _HALF_QUANTISATION_OPSET
        if divides or too_old or node.op_type in _SENSITIVE:
            kept.add(node.name)
    return kept


def value_types(model: onnx.ModelProto) -> dict[str, int]:
    """Element type of every value of a graph, as ONNX infers it."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    types = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    for value in (*graph.input, *graph.output):
        types[value.name] = value.type.tensor_type.elem_type
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def _edges(model: onnx.ModelProto) -> set[str]:
    """Rule 1: from the uint8 input to the factor 1/255, and from the factor 255 to the output."""
    constants = {tensor.name for tensor in model.graph.initializer}
    names: set[str] = set()
    inside = {value.name for value in model.graph.input}  # values that are still an image
    for node in model.graph.node:
        if inside.intersection(node.input):
            scales = _scales(node, constants)
            if scales or node.op_type in ("Cast", "Transpose"):
                names.add(node.name)
            if node.op_type in ("Cast", "Transpose"):
                inside.update(node.output)
    writers = {name: node for node in model.graph.node for name in node.output}
    for value in model.graph.output:
        node = writers.get(value.name)
        while node is not None and node.op_type in _EDGE_OPERATORS:
            names.add(node.name)
            node = None if _scales(node, constants) else writers.get(node.input[0])
    return names


def _scales(node: onnx.NodeProto, constants: Collection[str]) -> bool:
    return node.op_type == "Mul" and any(name in constants for name in node.input)


def _positions(model: onnx.ModelProto, types: dict[str, int]) -> set[str]:
    """Rule 2: each sampler, and nodes from a convolution to its sampling positions."""
    import onnx

    writers = {name: node for node in model.graph.node for name in node.output}
    samplers = [node for node in model.graph.node if node.op_type in _SAMPLERS]
    nodes, ahead = {node.name for node in samplers}, [node.input[1] for node in samplers]
    while ahead:
        name = ahead.pop()
        node = writers.get(name)
        if node is None or types.get(name) != onnx.TensorProto.FLOAT or node.name in nodes:
            continue
        if node.op_type not in _ENDS_OF_POSITIONS:
            nodes.add(node.name)
            ahead += node.input
    return nodes


def _select_lost_constants(model: onnx.ModelProto) -> set[str]:
    """Rule 3."""
    import onnx

    lost = set()
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values = onnx.numpy_helper.to_array(tensor)
            half = _as_half(values)
            vanished = values.size == 1 and np.any((half == 0) & (values != 0))
            if vanished or np.any(np.isinf(half) & np.isfinite(values)):
                lost.add(tensor.name)
    return {node.name for node in model.graph.node if lost.intersection(node.input)}


def _as_half(values: NDArray[np.floating]) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):
        return values.astype(np.float16)


def _takes_single(node: onnx.NodeProto, slot: int) -> bool:
    return slot in _ALWAYS_SINGLE.get(node.op_type, ())


class _Rewriter:
    """Rewrites the nodes of a graph in order, with casts between them."""

    def __init__(
        self,
        model: onnx.ModelProto,
        types: dict[str, int],
        *,
        single: Collection[str],
        halve: Collection[str],
    ) -> None:
        import onnx

        self.single, self.half = int(onnx.TensorProto.FLOAT), int(onnx.TensorProto.FLOAT16)
        self.model, self.types, self.kept = model, types, single
        self.also_single = {
            name
            for node in model.graph.node
            for slot, name in enumerate(node.input)
            if node.name in single or _takes_single(node, slot)
        }
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.names: dict[tuple[str, int], str] = {}  # (value, type) -> its name in that type
        for value in (*model.graph.input, *model.graph.output):
            if value.name in halve:
                value.type.tensor_type.elem_type = self.half
        for value in model.graph.input:
            self.names[value.name, value.type.tensor_type.elem_type] = value.name
        self.leaving = {
            value.name: value.type.tensor_type.elem_type for value in model.graph.output
        }
        self.nodes: list[onnx.NodeProto] = []
        self.added: dict[str, onnx.TensorProto] = {}

    def take(self, original: onnx.NodeProto) -> bool:
        """Write a node; returns whether it computes in half precision."""
        import onnx

        node = onnx.NodeProto()
        node.CopyFrom(original)
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise MismatchError(
                f"{node.name} ({node.op_type}) has a subgraph; half precision is supported "
                "for graphs without branches and loops only: export with --precision fp32"
            )
        half = node.name not in self.kept
        for slot, name in enumerate(node.input):
            if self.types.get(name) == self.single:
                wanted = self.half if half and not _takes_single(node, slot) else self.single
                node.input[slot] = self._named(name, wanted)
        if half:
            self._make_half(node)
        self.nodes.append(node)
        self._name_outputs(node, self.half if half else self.single)
        return half and self._is_single(original.output)

    def finish(self) -> None:
        """Store nodes and constants in the graph and check their types."""
        import onnx

        graph = self.model.graph
        used = {name for node in self.nodes for name in node.input}
        kept = [t for t in ({**self.constants, **self.added}).values() if t.name in used]
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self.nodes)
        graph.initializer.extend(kept)
        onnx.checker.check_model(self.model, full_check=True)

    def _is_single(self, names: Iterable[str]) -> bool:
        return any(self.types.get(name) == self.single for name in names)

    def _named(self, name: str, wanted: int) -> str:
        """Name of a float value in the wanted type; adds a cast if needed."""
        if (name, wanted) in self.names:
            return self.names[name, wanted]
        if name not in self.constants:
            have = self.half if wanted == self.single else self.single
            return self._cast(name, self.names[name, have], wanted)
        if wanted == self.single:
            return name
        return self._half_constant(name)

    def _cast(self, name: str, source: str, wanted: int) -> str:
        import onnx

        target = f"{name}.{'half' if wanted == self.half else 'single'}"
        cast = onnx.helper.make_node("Cast", [source], [target], name=f"cast {target}", to=wanted)
        self.nodes.append(cast)
        self.names[name, wanted] = target
        return target

    def _half_constant(self, name: str) -> str:
        import onnx

        values = _as_half(onnx.numpy_helper.to_array(self.constants[name]))
        # It keeps its name where it can: calibration knows weights by it.
        target = f"{name}.half" if name in self.also_single else name
        self.added[target] = onnx.numpy_helper.from_array(values, target)
        self.names[name, self.half] = target
        return target

    def _make_half(self, node: onnx.NodeProto) -> None:
        """Attributes that carry a type."""
        import onnx

        for attribute in node.attribute:
            if attribute.name in ("to", "dtype") and attribute.i == self.single:
                attribute.i = self.half
            if attribute.HasField("t") and attribute.t.data_type == self.single:
                values = _as_half(onnx.numpy_helper.to_array(attribute.t))
                attribute.t.CopyFrom(onnx.numpy_helper.from_array(values, attribute.t.name))

    def _name_outputs(self, node: onnx.NodeProto, given: int) -> None:
        """Note the type of each output; those that leave the graph as the other one are cast."""
        import onnx

        for slot, name in enumerate(node.output):
            if self.types.get(name) != self.single:
                continue
            leaves_as = self.leaving.get(name, given)
            if leaves_as != given:
                node.output[slot] = f"{name}.inner"
                self.names[name, leaves_as] = name
                cast = onnx.helper.make_node(
                    "Cast", [f"{name}.inner"], [name], name=f"cast {name}", to=leaves_as
                )
                self.nodes.append(cast)
            self.names[name, given] = node.output[slot]
