"""Inspect an ONNX graph: inputs, outputs, nodes by operator, and precisions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from vsrc.export.checks.tensorrt_operators import find_refused_operators
from vsrc.export.graphs.graph_name import METADATA_KEY
from vsrc.runtime.dependencies import is_importable
from vsrc.runtime.errors import SpecError, VsrcError
from vsrc.runtime.inspection.facts import Inspection
from vsrc.runtime.installation import explain_missing
from vsrc.runtime.text.size_text import size_text

if TYPE_CHECKING:
    import onnx

_READERS = (
    (17, "ONNX Runtime 1.12 or TensorRT 8.6"),
    (18, "ONNX Runtime 1.14 or TensorRT 8.6"),
    (19, "ONNX Runtime 1.15 or TensorRT 10.0"),
    (20, "ONNX Runtime 1.17 or TensorRT 10.0"),
    (21, "ONNX Runtime 1.18 or TensorRT 10.15"),
)
"""Opset, and the first releases that support it."""


def inspect_graph(path: Path) -> Inspection:
    """Describe inputs, outputs and operators of a graph.

    Raises:
        MissingDependencyError: onnx is not installed.
        SpecError: The file is not an ONNX file.
    """
    with explain_missing("onnx", extra="export"):
        import onnx
        from google.protobuf.message import DecodeError
    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise SpecError(f"{path} is not an ONNX file: {error}") from error
    if not model.graph.node:
        raise SpecError(f"{path} is not an ONNX file, or its graph is empty")
    return _inspection(path, model)


def _inspection(path: Path, model: onnx.ModelProto) -> Inspection:
    inputs, outputs = _values(model.graph.input), _values(model.graph.output)
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    nodes = dict(Counter(node.op_type for node in model.graph.node).most_common())
    weights, computed = _numbers_by_dtype(model), _nodes_by_dtype(model)
    convolved, refused = _convolutions_by_dtype(model), find_refused_operators(model)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    size_bytes = path.stat().st_size
    rows = [
        *(("" if index else "takes", text) for index, text in enumerate(inputs)),
        *(("" if index else "gives", text) for index, text in enumerate(outputs)),
        ("opset", ", ".join(f"{domain} {version}" for domain, version in opsets.items())),
        ("nodes", f"{sum(nodes.values())}: {_counts(nodes)}"),
        ("precision", f"nodes that give {_counts(computed)}"),
        *(("", f"convolutions that read {_counts(convolved)}") for _ in convolved and [0]),
        ("weights", _counts(weights) or "none"),
    ]
    form = _form(path) if METADATA_KEY not in metadata else None
    if form is not None:
        rows.append(("fed with", form))
    rows.append(("needs", _needs(opsets.get("ai.onnx", 0))))
    rows += [("refused" if not index else "", text) for index, text in enumerate(refused)]
    if model.producer_name:
        rows.append(("made by", f"{model.producer_name} {model.producer_version}".strip()))
    rows += [(f"[{key}]", value) for key, value in metadata.items()]
    return Inspection(
        kind="graph",
        path=str(path),
        title=f"ONNX graph, {size_text(size_bytes)}",
        rows=tuple(rows),
        facts={
            "size_bytes": size_bytes,
            "ir_version": model.ir_version,
            "opsets": opsets,
            "inputs": inputs,
            "outputs": outputs,
            "nodes_by_type": nodes,
            "nodes_by_dtype": computed,
            "convolutions_by_dtype": convolved,
            "refused_by_tensorrt": list(refused),
            "weights_by_dtype": weights,
            "producer": f"{model.producer_name} {model.producer_version}".strip(),
            "metadata": metadata,
            "fed_with": form,
        },
        problems=_problems(path, model),
    )


def _form(path: Path) -> str | None:
    """Say what frames a graph of another program takes, found by running it; None if none."""
    from vsrc.export.foreign.original import read_original
    from vsrc.export.foreign.probe import Told, find_form

    if not is_importable("onnxruntime"):
        return None
    try:
        return f"{find_form(read_original(path), Told()).words}: vsrc pack {path} takes it"
    except (VsrcError, ValueError) as error:
        return f"unknown: {error}"


def _values(values: Iterable[onnx.ValueInfoProto]) -> list[str]:
    """Format each value as "lr uint8 (N, 5, h, w, 3)", or "sr float of any shape"."""
    lines = []
    for value in values:
        tensor = value.type.tensor_type
        sides = [
            str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?"
            for dim in tensor.shape.dim
        ]
        shape = f"({', '.join(sides)})" if tensor.HasField("shape") else "of any shape"
        lines.append(f"{value.name} {_dtype(tensor.elem_type)} {shape}")
    return lines


def _numbers_by_dtype(model: onnx.ModelProto) -> dict[str, int]:
    """Number of initializer elements of each type."""
    counts: Counter[str] = Counter()
    for tensor in model.graph.initializer:
        counts[_dtype(tensor.data_type)] += math.prod(tensor.dims)
    return dict(counts.most_common())


def _nodes_by_dtype(model: onnx.ModelProto) -> dict[str, int]:
    """Number of nodes by output type, as far as types can be inferred."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {
        value.name: value.type.tensor_type.elem_type
        for value in (*graph.value_info, *graph.input, *graph.output)
    }
    counts = Counter(
        _dtype(types.get(node.output[0], 0)) for node in graph.node if node.op_type != "Constant"
    )
    return dict(counts.most_common())


def _convolutions_by_dtype(model: onnx.ModelProto) -> dict[str, int]:
    """Number of convolutions by input type; int8 or uint8 behind Q/DQ."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info,)}
    types |= {value.name: value.type.tensor_type.elem_type for value in graph.input}
    stored = {
        node.output[0]: node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"
    }
    counts = Counter(
        _dtype(types.get(stored.get(node.input[0], node.input[0]), 0))
        for node in graph.node
        if node.op_type in ("Conv", "ConvTranspose")
    )
    return dict(counts.most_common())


def _needs(opset: int) -> str:
    """Releases that support an opset."""
    known = [needs for first, needs in _READERS if opset >= first]
    return known[-1] if known else "any ONNX Runtime"


def _dtype(elem_type: int) -> str:
    import onnx

    return str(onnx.TensorProto.DataType.Name(elem_type)).lower()


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in counts.items())


def _problems(path: Path, model: onnx.ModelProto) -> tuple[str, ...]:
    import onnx
    from onnx.external_data_helper import uses_external_data

    from vsrc.export.foreign.original import load_graph

    try:
        if any(map(uses_external_data, model.graph.initializer)):
            model = load_graph(path)
        onnx.checker.check_model(_with_shapes(model))
    except SpecError as error:  # weights in a file that is not there
        return (str(error),)
    except onnx.checker.ValidationError as error:
        return (f"{path} is not valid ONNX: {str(error).strip().splitlines()[0]}",)
    return ()


def _with_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Give outputs without a shape an empty one: onnx asks for one, and no runtime does."""
    if all(value.type.tensor_type.HasField("shape") for value in model.graph.output):
        return model
    result = type(model)()
    result.CopyFrom(model)
    for value in result.graph.output:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.shape.SetInParent()
    return result
