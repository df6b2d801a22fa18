"""Make a package of a lone ONNX graph, of vsrc's own or of another program's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vsrc.export.foreign.form import FOREIGN
from vsrc.export.foreign.measuring import describe_foreign
from vsrc.export.foreign.normalising import normalise
from vsrc.export.foreign.original import OriginalGraph, load_graph, opset_of_model, original_of
from vsrc.export.foreign.probe import Told, find_form
from vsrc.export.graphs.graph_name import METADATA_KEY, graph_name
from vsrc.export.packing.config import OwnNetwork
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.external_weights import external_weights
from vsrc.runtime.latency.subject import read_description
from vsrc.runtime.package import describe_file, write_spec
from vsrc.runtime.spec import GraphSpec, ModelSpec, NetworkSpec, Provenance

if TYPE_CHECKING:
    import onnx

ORIGINAL = "original.onnx"
"""File of a package that holds the graph as it came."""
_QUANTISED = ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger")


def write_graph_package(own: OwnNetwork, folder: Path, origin: Provenance) -> str:
    """Write a package around a graph; what it is, in one line.

    A graph of vsrc with uint8 edges becomes a graph of the package as it is. Any other is kept as
    `original.onnx`, from which `vsrc export` writes graphs.

    Raises:
        SpecError: The file is not an ONNX file.
        MismatchError: The graph is half of a network, is quantised already, or takes no frames.
        ValueError: It is not clear how it is fed; the message lists the candidates.
    """
    path = Path(own.source)
    model = load_graph(path)
    described = _description(path, model)
    if described is not None:
        network, graph = described
        _check_lone(path, network, graph)
        if graph.io == "uint8":
            # A package has no files without a hash.
            is_split = bool(external_weights(path))
            content = model.SerializeToString() if is_split else path.read_bytes()
            return _keep(folder, path.name, content, network, graph, origin)
        own = replace(
            own, scale=network.scale, window=network.window, peak=1, colour="rgb", network=None
        )
    original = original_of(model, path.name)
    _check_float(original)
    form = find_form(original, Told(own.scale, own.window, own.peak, own.colour))
    spec = describe_foreign(normalise(original), form)
    (folder / ORIGINAL).write_bytes(original.model.SerializeToString())
    weights = describe_file(folder, ORIGINAL)
    write_spec(folder, ModelSpec(spec, weights, degradation="bi", provenance=origin))
    sides = [str(side or "any") for side in original.shape[-2:]]
    size = "any size" if sides == ["any", "any"] else "x".join(sides)
    half = "fp16" if original.is_half else "fp32"
    return f"{path.name}: {form.words}, {size}, {half}, opset {opset_of_model(original.model)}"


def _description(path: Path, model: onnx.ModelProto) -> tuple[NetworkSpec, GraphSpec] | None:
    """What vsrc wrote into a graph; None for a graph of another program."""
    text = next((each.value for each in model.metadata_props if each.key == METADATA_KEY), None)
    return read_description(path, text) if text is not None and _is_description(text) else None


def _is_description(text: str) -> bool:
    """Whether metadata of our key are ours: another program may use the word for its own."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(data, dict) and "schema_version" in data


def _check_lone(path: Path, network: NetworkSpec, graph: GraphSpec) -> None:
    if graph.role != "whole":
        raise MismatchError(
            f"{path} is the {graph.role} half of {network.name}; pack the graph of the whole, or "
            "take the package that it came from"
        )
    if graph.io == "float" and (network.time_scale != 1 or graph.precision.startswith("int8")):
        raise MismatchError(
            f"{path} is the {graph.precision} graph of {network.name} with float frames; pack the "
            "one with uint8 pictures, or take the package that it came from"
        )


def _check_float(original: OriginalGraph) -> None:
    quantised = [node.op_type for node in original.model.graph.node if node.op_type in _QUANTISED]
    if quantised:
        raise MismatchError(
            f"{original.name} is quantised already ({quantised[0]}): pack the float graph that it "
            "came from, and calibrate that; vsrc bench times this one as it is"
        )


def _keep(
    folder: Path,
    source: str,
    content: bytes,
    network: NetworkSpec,
    graph: GraphSpec,
    origin: Provenance,
) -> str:
    """Take a graph with uint8 edges as it is."""
    name = graph_name(graph.file_precision)
    (folder / "graphs").mkdir()
    (folder / f"graphs/{name}.onnx").write_bytes(content)
    (folder / ORIGINAL).write_bytes(content)
    kept = replace(graph, **vars(describe_file(folder, f"graphs/{name}.onnx")))
    spec = replace(network, name=f"{FOREIGN}{source}", arguments={}, stages=(), hr_features=None)
    weights = describe_file(folder, ORIGINAL)
    write_spec(folder, ModelSpec(spec, weights, "bi", graphs={name: kept}, provenance=origin))
    return f"{source}: {graph.precision} graph of {network.name} x{network.scale}, by vsrc"
