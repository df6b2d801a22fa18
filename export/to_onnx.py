"""A network as an ONNX graph, through the dynamo exporter and onnxsim."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.export import Dim

from vsrc.export.extent import Extent
from vsrc.export.picture_network import FloatNetwork, PictureNetwork
from vsrc.runtime.errors import MissingDependencyError
from vsrc.runtime.schema import to_json
from vsrc.runtime.spec import SCHEMA_VERSION, GraphIo, NetworkSpec

if TYPE_CHECKING:
    import onnx

logger = logging.getLogger(__name__)

METADATA_KEY = "vsrc"
"""Key of the ONNX metadata under which the spec travels, so that a lone file also runs."""


def to_onnx(
    network: nn.Module, spec: NetworkSpec, *, graph_io: GraphIo, extent: Extent, opset: int
) -> onnx.ModelProto:
    """Export, simplify and strip; the same network gives the same bytes.

    Args:
        network: In the form that is deployed, on the CPU.
        spec: What the network says of itself.
        graph_io: Pictures or float tensors at the edges.
        extent: Shapes the graph shall take.
        opset: ONNX operator set.
    """
    if graph_io == "uint8":
        wrapped: nn.Module = PictureNetwork(network, window=spec.window)
    else:
        wrapped = FloatNetwork(network, window=spec.window)
    example = _example(spec, graph_io=graph_io, extent=extent)
    dynamic = None if extent.fixed else {"lr": _dynamic_axes(spec, graph_io, extent)}
    model = _exported(wrapped.eval(), example, dynamic, opset)
    model = _simplified(model)
    strip(model)
    graph = {"precision": "fp32", "io": graph_io, "opset": opset, **to_json(extent)}
    said = {"schema_version": SCHEMA_VERSION, "network": to_json(spec), "graph": graph}
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, json.dumps(said, sort_keys=True)
    return model


def _example(spec: NetworkSpec, *, graph_io: GraphIo, extent: Extent) -> torch.Tensor:
    """An input to trace with: small, sides unequal and above 1 so that nothing is specialised."""
    if extent.fixed:
        batch, height, width = extent.batch[0], extent.height[0], extent.width[0]
    else:
        base = -(-16 // spec.size_multiple) * spec.size_multiple
        batch = 2
        height = min(max(base, extent.height[0]), extent.height[1])
        width = min(max(base + spec.size_multiple, extent.width[0]), extent.width[1])
    if graph_io == "uint8":
        return torch.zeros(batch, spec.window, height, width, 3, dtype=torch.uint8)
    return torch.zeros(batch, spec.window, 3, height, width)


def _dynamic_axes(spec: NetworkSpec, graph_io: GraphIo, extent: Extent) -> dict[int, Any]:
    multiple = spec.size_multiple
    rows, columns = (2, 3) if graph_io == "uint8" else (3, 4)
    axes: dict[int, Any] = {}
    if extent.batch[0] != extent.batch[1]:
        axes[0] = Dim("n", min=extent.batch[0], max=extent.batch[1])
    for axis, name, (low, high) in ((rows, "h", extent.height), (columns, "w", extent.width)):
        if low != high and multiple == 1:
            axes[axis] = Dim(name, min=low, max=high)
        elif low != high:
            blocks = Dim(f"{name}_blocks", min=low // multiple, max=high // multiple)
            axes[axis] = multiple * blocks
    return axes


def _exported(
    wrapped: nn.Module, example: torch.Tensor, dynamic: dict[str, Any] | None, opset: int
) -> onnx.ModelProto:
    try:
        import onnxscript  # noqa: F401  the exporter imports it late and says so badly
    except ImportError as error:
        raise MissingDependencyError(
            f"the ONNX exporter needs onnxscript ({error}); install it: pip install 'vsrc[export]'"
        ) from error
    # The exporter talks on stdout and warns of its own internals; neither is for the user.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            wrapped,
            (example,),
            dynamo=True,
            opset_version=opset,
            input_names=["lr"],
            output_names=["sr"],
            dynamic_shapes=dynamic,
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def _simplified(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        import onnxsim
    except ImportError as error:
        raise MissingDependencyError(
            f"onnxsim is not importable ({error}); install it: pip install 'vsrc[export]'"
        ) from error
    simplified: onnx.ModelProto = onnxsim.simplify(model)[0]
    logger.info("onnxsim: %d nodes became %d", len(model.graph.node), len(simplified.graph.node))
    return simplified


def strip(model: onnx.ModelProto) -> int:
    """Remove what the exporter notes about its own run: source paths, stack traces, doc strings.

    Returns:
        How many entries were removed.
    """
    removed = 0
    graph = model.graph
    holders: list[Any] = [graph, *graph.node, *graph.initializer, *graph.value_info]
    holders += [*graph.input, *graph.output]
    for holder in holders:
        removed += len(holder.metadata_props) + bool(holder.doc_string)
        del holder.metadata_props[:]
        holder.ClearField("doc_string")
    removed += len(model.metadata_props)
    del model.metadata_props[:]
    model.producer_name, model.producer_version, model.doc_string = "vsrc", "", ""
    return removed
