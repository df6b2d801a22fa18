"""Export a network to ONNX with the dynamo exporter and onnxsim."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from vsrc.export.graphs.graph_plan import GraphPlan
from vsrc.export.graphs.metadata import describe_graph
from vsrc.export.shape_range import ShapeRange
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.installation import explain_missing
from vsrc.runtime.spec import GraphIo, GraphLayout, NetworkSpec

if TYPE_CHECKING:
    import onnx

logger = logging.getLogger(__name__)


def to_onnx(
    plan: GraphPlan,
    spec: NetworkSpec,
    *,
    graph_io: GraphIo,
    extent: ShapeRange,
    opset: int,
    layout: GraphLayout = "window",
) -> onnx.ModelProto:
    """Export, simplify and strip a graph; deterministic to the byte.

    Args:
        plan: Plan of the graph.
        spec: Spec of the network.
        graph_io: Type of inputs and outputs: uint8 images or float tensors.
        extent: Shapes that the graph must accept.
        opset: ONNX operator set.
        layout: Axes of float frames, as in `GraphSpec`.

    Raises:
        MismatchError: The code of the network fixes a dynamic axis.
    """
    model = _simplify(_export(plan, opset))
    drop_unread_inputs(model)
    _check_free_axes(model, plan)
    strip(model)
    describe_graph(model, plan, spec, graph_io=graph_io, layout=layout, extent=extent, opset=opset)
    return model


def _export(plan: GraphPlan, opset: int) -> onnx.ModelProto:
    assert plan.module is not None  # a foreign graph is not traced
    with explain_missing("onnxscript", extra="export"):
        import onnxscript  # noqa: F401  imported late by the exporter, with an unclear error
    # The exporter prints to stdout and warns of its internals; neither is for the user.
    with (
        contextlib.redirect_stdout(io.StringIO()),
        _silenced(logging.getLogger("torch")),
        _silenced(logging.getLogger("onnxscript")),
        warnings.catch_warnings(),
        torch.no_grad(),
    ):
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                plan.module,
                plan.examples,
                dynamo=True,
                opset_version=opset,
                input_names=list(plan.inputs),
                output_names=list(plan.outputs),
                dynamic_shapes=plan.free if any(_by_input(plan.free)) else None,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            reason = str(error.__cause__ or error).strip().splitlines()[0]
            raise MismatchError(
                f"the exporter cannot write the {plan.role} graph of this network: {reason}"
            ) from error
    assert program is not None
    return program.model_proto


@contextlib.contextmanager
def _silenced(log: logging.Logger) -> Iterator[None]:
    """Silence a logger: torch warns of each operator of torchvision, and logs what it raises."""
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


def _simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    with explain_missing("onnxsim", extra="export"):
        import onnxsim
    simplified: onnx.ModelProto = onnxsim.simplify(model)[0]
    logger.info("onnxsim: %d nodes became %d", len(model.graph.node), len(simplified.graph.node))
    return simplified


def drop_unread_inputs(model: onnx.ModelProto) -> int:
    """Remove inputs that no node reads: `centre`, where a network does not use it.

    Returns:
        Number of removed inputs.
    """
    read = {name for node in model.graph.node for name in node.input}
    unread = [value for value in model.graph.input if value.name not in read]
    for value in unread:
        model.graph.input.remove(value)
    return len(unread)


def _check_free_axes(model: onnx.ModelProto, plan: GraphPlan) -> None:
    """Check that dynamic axes stayed dynamic; the exporter fixes an axis silently."""
    free = dict(zip(plan.inputs, _by_input(plan.free), strict=True))
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        for axis in free[value.name]:
            if dims[axis].HasField("dim_value"):
                raise MismatchError(
                    f"axis {axis} of {value.name} came out fixed at {dims[axis].dim_value}: the "
                    "network converts its length to int, as len(x) and int(x.shape[0]) do; "
                    "use x.shape directly, or make a graph of one size: --shape HxW of vsrc pack "
                    "(of a file), of vsrc export (of a package)"
                )


def _by_input(free: tuple[Any, ...]) -> list[dict[int, Any]]:
    """Dynamic axes of each input; an argument may be a tuple of inputs."""
    return [axes for each in free for axes in (each if isinstance(each, tuple) else (each,))]


def strip(model: onnx.ModelProto) -> int:
    """Remove the exporter's metadata: source paths, stack traces, doc strings.

    Returns:
        Number of removed entries.
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
