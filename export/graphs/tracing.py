"""Trace the network of a package to float32 graphs, the source of all other precisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsrc.export.config import ExportConfig, ExportProgress, ExportStep
from vsrc.export.graphs.check_frames import CheckedFrames, check_frames
from vsrc.export.graphs.graph_name import graph_name
from vsrc.export.graphs.graph_plan import GraphPlan, plan_halves, plan_whole
from vsrc.export.graphs.shape_range import ShapeRange, shape_range_of
from vsrc.export.graphs.typed_graphs import TypedGraph
from vsrc.runtime.errors import MismatchError, SpecError
from vsrc.runtime.package import Package, open_package
from vsrc.runtime.spec import NetworkSpec, Precision

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class TracedNetwork:
    """A network that was traced.

    Attributes:
        package: Package of the network.
        network: Network in deployed form.
        extent: Shapes that the graphs accept.
        traced: fp32 graphs: whole, then encode and fuse if there are any.
        frames: Real frames for checking graphs.
    """

    package: Package
    network: nn.Module
    extent: ShapeRange
    traced: tuple[TypedGraph, ...]
    frames: tuple[CheckedFrames, ...]


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
    spec, network = package.spec.network, _exportable(package, config)
    extent = shape_range_of(config.shape, multiple=spec.size_multiple)
    plans = _plans(network, spec, config, extent)
    names = [
        graph_name(precision, config.io, plan.role) for precision in precisions for plan in plans
    ]
    there = [name for name in names if name in package.spec.graphs]
    if there and not config.overwrite:
        raise SpecError(f"{package.path} has a {there[0]} graph; add --overwrite to replace it")
    traced = []
    for done, plan in enumerate(plans):
        progress(ExportStep(f"tracing the {plan.role} graph", done, len(plans)))
        traced.append(_trace_plan(plan, spec, config, extent))
    frames = check_frames(spec, extent, degradation=package.spec.degradation)
    return TracedNetwork(package, network, extent, tuple(traced), frames)


def _exportable(package: Package, config: ExportConfig) -> nn.Module:
    from vsrc.compressor.networks.loading.packaged import from_package, to_deployed

    network = from_package(package, allow_code=config.allow_code)
    if getattr(network, "sees_hr", False):
        raise MismatchError(
            f"{package.spec.network.name} takes the HR image as input, so it can only be "
            "a teacher and cannot be exported"
        )
    return to_deployed(network)


def _plans(
    network: nn.Module, spec: NetworkSpec, config: ExportConfig, extent: ShapeRange
) -> list[GraphPlan]:
    from vsrc.compressor.networks.layers.frame_encoder import FrameEncoder

    plans = [plan_whole(network, spec, graph_io=config.io, extent=extent)]
    if config.halves and isinstance(network, FrameEncoder):
        plans += plan_halves(network, spec, graph_io=config.io, extent=extent)
    return plans


def _trace_plan(
    plan: GraphPlan, spec: NetworkSpec, config: ExportConfig, extent: ShapeRange
) -> TypedGraph:
    from vsrc.export.graphs.bilinear_skip import fold_bilinear_skip
    from vsrc.export.graphs.to_onnx import to_onnx

    model = to_onnx(plan, spec, graph_io=config.io, extent=extent, opset=config.opset)
    fold_bilinear_skip(model)
    return TypedGraph(plan, model)
