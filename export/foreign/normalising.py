"""Bring a foreign graph into the form that vsrc's tools expect, without changing its function.

Weights become named constants of float32, nodes get names, and what only other tools read goes. A
half precision graph is converted to float32 exactly. The opset stays, unless it is too old for what
is written around the graph or for int8.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from vsrc.export.foreign.original import OriginalGraph, opset_of_model, original_of
from vsrc.runtime.errors import MismatchError, first_line

if TYPE_CHECKING:
    import onnx

LEAST_OPSET = 11
"""First opset with Round and with bicubic Resize."""
_LEAST_IR = 4
"""First version of the file format in which constants need not be inputs, too."""


def normalise(original: OriginalGraph, *, least_opset: int = LEAST_OPSET) -> OriginalGraph:
    """Return a float32 copy with named weights and nodes, of at least an opset.

    Raises:
        MismatchError: Its opset is older than that and cannot be converted.
    """
    model = type(original.model)()
    model.CopyFrom(original.model)
    if opset_of_model(model) < least_opset:
        model = _raised(model, least_opset, original.name)
    _name_constants(model)
    _skip_aliases(model)
    _to_single(model)
    _clean(model, original.output)
    return original_of(model, original.name)


def _raised(model: onnx.ModelProto, opset: int, name: str) -> onnx.ModelProto:
    from onnx import version_converter

    have = opset_of_model(model)
    try:
        return version_converter.convert_version(model, opset)
    except Exception as error:  # the converter raises RuntimeError, among others
        line = first_line(error)
        raise MismatchError(
            f"{name} is of opset {have}, and {opset} is needed here, but it cannot be converted: "
            f"{line}; export it again from its source with opset {opset} to 20"
        ) from error


def _name_constants(model: onnx.ModelProto) -> None:
    """Turn Constant nodes into initializers."""
    from onnx import numpy_helper

    kept = []
    for node in model.graph.node:
        value = next((each for each in node.attribute if each.name == "value"), None)
        if node.op_type == "Constant" and value is not None:
            tensor = numpy_helper.from_array(numpy_helper.to_array(value.t), node.output[0])
            model.graph.initializer.append(tensor)
        else:
            kept.append(node)
    _replace(model, kept)


def _skip_aliases(model: onnx.ModelProto) -> None:
    """Let readers of an Identity of a constant read the constant."""
    constants = {tensor.name for tensor in model.graph.initializer}
    given = {value.name for value in model.graph.output}
    alias: dict[str, str] = {}
    kept = []
    for node in model.graph.node:
        for at, name in enumerate(node.input):
            node.input[at] = alias.get(name, name)
        is_alias = node.op_type == "Identity" and node.input[0] in constants
        if is_alias and node.output[0] not in given:
            alias[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    _replace(model, kept)


def _replace(model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto]) -> None:
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def _to_single(model: onnx.ModelProto) -> None:
    """Convert half precision to float32: constants, casts, inputs and outputs."""
    from onnx import TensorProto

    for tensor in model.graph.initializer:
        _widen(tensor)
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT16:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for attribute in (each for node in model.graph.node for each in node.attribute):
        if attribute.name in ("to", "dtype") and attribute.i == TensorProto.FLOAT16:
            attribute.i = TensorProto.FLOAT
        if attribute.HasField("t"):
            _widen(attribute.t)


def _widen(tensor: onnx.TensorProto) -> None:
    from onnx import TensorProto, numpy_helper

    if tensor.data_type == TensorProto.FLOAT16:
        values = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _clean(model: onnx.ModelProto, output: str) -> None:
    """Give each node a name of its own, and drop notes, inferred shapes and unread outputs."""
    graph = model.graph
    seen: set[str] = set()
    for at, node in enumerate(graph.node):
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}_{at}"
        seen.add(node.name)
        node.ClearField("doc_string")
        del node.metadata_props[:]
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    del graph.input[:], graph.value_info[:], model.metadata_props[:]
    for other in [one for one in graph.output if one.name != output]:
        graph.output.remove(other)
    graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, _LEAST_IR)
    graph.ClearField("doc_string")
    model.ClearField("doc_string")
