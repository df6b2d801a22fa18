"""Trace the network of a package to float32 graphs, the source of all other precisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from vsrc.calibration.compensated_rounding import CompensatedRounding
from vsrc.calibration.moments import measure_moments
from vsrc.calibration.qdq import INT8_OPSET
from vsrc.export.config import ExportConfig, ExportProgress, ExportStep
from vsrc.export.foreign.extent import foreign_extent
from vsrc.export.foreign.form import FOREIGN, form_of
from vsrc.export.foreign.normalising import LEAST_OPSET, normalise
from vsrc.export.foreign.original import read_original
from vsrc.export.foreign.wrapping import wrap
from vsrc.export.graphs.accepted_extent import accepted_extent
from vsrc.export.graphs.answers import Reference, foreign_reference, torch_reference
from vsrc.export.graphs.check_frames import CheckedFrames, as_fed, check_frames, rounding_frames
from vsrc.export.graphs.graph_plan import GraphPlan, plan_halves, plan_whole
from vsrc.export.graphs.kept_graphs import graph_names, is_kept
from vsrc.export.graphs.metadata import describe_graph
from vsrc.export.graphs.typed_graphs import TypedGraph, feeds_of, opset_of
from vsrc.export.shape_range import ShapeRange, shape_range_of
from vsrc.runtime.errors import MismatchError, OutputError
from vsrc.runtime.package import Package, open_package
from vsrc.runtime.spec import GraphIo, GraphLayout, GraphRole, NetworkSpec, Precision

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class TracedNetwork:
    """A network that was traced.

    Attributes:
        package: Package of the network.
        reference: What the graphs are compared with.
        graph_io: Type of inputs and outputs.
        layout: Axes of float frames.
        extent: Shapes that the graphs accept.
        traced: fp32 graphs: whole, then encode and fuse if there are any.
        frames: Real frames for checking graphs.
    """

    package: Package
    reference: Reference
    graph_io: GraphIo
    layout: GraphLayout
    extent: ShapeRange
    traced: tuple[TypedGraph, ...]
    frames: tuple[CheckedFrames, ...]

    @cached_property
    def roundings(self) -> dict[str, CompensatedRounding]:
        """How the weights of each convolution are rounded, by frames that are not compared on."""
        whole, spec = self.traced[0], self.package.spec
        windows = rounding_frames(spec.network, self.extent, degradation=spec.degradation)
        fed = [as_fed(lr, graph_io=self.graph_io, layout=self.layout) for lr in windows]
        moments = measure_moments(whole.model, [feeds_of([whole], each)[0] for each in fed])
        return {key: CompensatedRounding(each) for key, each in moments.items()}


def trace(
    config: ExportConfig, precisions: Sequence[Precision], progress: ExportProgress
) -> TracedNetwork:
    """Trace the network of a package once, after checks of the request.

    Args:
        config: Export settings.
        precisions: Precisions that will be written.
        progress: Called for each graph.
    """
    package = open_package(config.package)
    spec = package.spec.network
    if spec.name.startswith(FOREIGN):
        return trace_foreign(package, config, precisions, progress)
    network = _exportable(package, config)
    extent = shape_range_of(config.shape, multiple=spec.size_multiple)
    if not config.shape:
        extent = accepted_extent(network, spec, extent)
    layout = config.layout_of(spec.window)
    plans = _plans(network, spec, config, extent)
    roles = [plan.role for plan in plans]
    check_new_graphs(package, config, precisions, roles=roles, extent=extent)
    traced = []
    for done, plan in enumerate(plans):
        progress(ExportStep(f"tracing the {plan.role} graph", done, len(plans)))
        traced.append(_trace_plan(plan, spec, config, extent))
    frames = check_frames(spec, extent, degradation=package.spec.degradation)
    reference = torch_reference(network, spec, graph_io=config.io, layout=layout)
    return TracedNetwork(package, reference, config.io, layout, extent, tuple(traced), frames)


def trace_foreign(
    package: Package,
    config: ExportConfig,
    precisions: Sequence[Precision],
    progress: ExportProgress,
) -> TracedNetwork:
    """Write the graph of a package that was made from a foreign one; torch is not needed."""
    spec = package.spec.network
    progress(ExportStep("writing the graph"))
    if not spec.arguments:
        raise MismatchError(
            f"{package.path} was packed from a graph of vsrc, which runs as it is; export the "
            "package that the graph came from"
        )
    layout, form = config.layout_of(spec.window), form_of(spec)
    needed = INT8_OPSET if {"int8", "int8-cpu"} & set(precisions) else LEAST_OPSET
    original = normalise(read_original(package.weights()), least_opset=needed)
    extent = foreign_extent(original, spec, config.shape)
    check_new_graphs(package, config, precisions, roles=["whole"], extent=extent)
    model = wrap(original, form, graph_io=config.io, layout=layout)
    plan = GraphPlan("whole", None, (), (), ("lr",), ("sr",))
    opset = opset_of(model)
    describe_graph(model, plan, spec, graph_io=config.io, layout=layout, extent=extent, opset=opset)
    frames = check_frames(spec, extent, degradation=package.spec.degradation)
    reference = foreign_reference(original, form, graph_io=config.io, layout=layout)
    traced = (TypedGraph(plan, model),)
    return TracedNetwork(package, reference, config.io, layout, extent, traced, frames)


def check_new_graphs(
    package: Package,
    config: ExportConfig,
    precisions: Sequence[Precision],
    *,
    roles: Sequence[GraphRole],
    extent: ShapeRange,
) -> None:
    """Raise if the package has one of the graphs, up to date, and it is not to be replaced."""
    names = [
        name
        for precision in precisions
        if not is_kept(package, precision, config, roles=roles, extent=extent)
        for name in graph_names(package, precision, config, roles)
    ]
    graphs = package.spec.graphs
    there = [name for name in names if name in graphs and not graphs[name].stale]
    if there and not config.overwrite:
        raise OutputError(
            f"{package.path} already has its {there[0]} graph; add --overwrite to replace it"
        )


def _exportable(package: Package, config: ExportConfig) -> nn.Module:
    from vsrc.compressor.features.whole_clip import WholeClipNetwork
    from vsrc.compressor.networks.loading.packaged import from_package, to_deployed

    network = from_package(package, allow_code=config.allow_code)
    if getattr(network, "sees_hr", False):
        raise MismatchError(
            f"{package.spec.network.name} takes the HR image as input, so it can only be "
            "a teacher and cannot be exported"
        )
    if isinstance(network, WholeClipNetwork) and not package.spec.network.state:
        raise MismatchError(
            f"{package.spec.network.name} runs over a clip in both directions, so a frame needs "
            "all later ones: it can only be a teacher, and has no graph; train a student from it, "
            "or create it with both_directions=false"
        )
    return to_deployed(network)


def _plans(
    network: nn.Module, spec: NetworkSpec, config: ExportConfig, extent: ShapeRange
) -> list[GraphPlan]:
    from vsrc.compressor.networks.layers.frame_encoder import FrameEncoder

    layout = config.layout_of(spec.window)
    plans = [plan_whole(network, spec, graph_io=config.io, extent=extent, layout=layout)]
    if config.halves and layout == "window" and isinstance(network, FrameEncoder):
        plans += plan_halves(network, spec, graph_io=config.io, extent=extent)
    return plans


def _trace_plan(
    plan: GraphPlan, spec: NetworkSpec, config: ExportConfig, extent: ShapeRange
) -> TypedGraph:
    from vsrc.export.graphs.bilinear_skip import fold_bilinear_skip
    from vsrc.export.graphs.to_onnx import to_onnx

    model = to_onnx(
        plan,
        spec,
        graph_io=config.io,
        extent=extent,
        opset=config.opset,
        layout=config.layout_of(spec.window),
    )
    fold_bilinear_skip(model)
    return TypedGraph(plan, model)
