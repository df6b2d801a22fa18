"""Graphs that `--precision auto` keeps and measures, as the package has them already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vsrc.export.config import ExportConfig
from vsrc.export.graphs.graph_name import graph_name, is_named_stacked
from vsrc.export.graphs.graph_plan import GraphPlan
from vsrc.export.graphs.typed_graphs import TypedGraph
from vsrc.export.shape_range import ShapeRange
from vsrc.runtime.package import Package
from vsrc.runtime.spec import GraphRole, GraphSpec, Precision


def graph_names(
    package: Package, precision: Precision, config: ExportConfig, roles: Sequence[GraphRole]
) -> list[str]:
    """Names of the graphs of one precision that an export writes."""
    stacked = is_named_stacked(package.spec.network, config)
    return [graph_name(precision, config.io, role, is_stacked=stacked) for role in roles]


def is_kept(
    package: Package,
    precision: Precision,
    config: ExportConfig,
    *,
    roles: Sequence[GraphRole],
    extent: ShapeRange,
) -> bool:
    """Whether the package has all graphs of a precision as `--precision auto` would write them."""
    if config.precision != "auto" or config.overwrite:
        return False
    if precision in ("int8", "int8-cpu") and _quantises_anew(config):
        return False
    names = graph_names(package, precision, config, roles)
    return all(_is_as_asked(package.spec.graphs.get(name), config, extent) for name in names)


def read_kept(
    package: Package, precision: Precision, config: ExportConfig, plans: Sequence[GraphPlan]
) -> list[TypedGraph]:
    """Read the graphs of a precision from the package."""
    import onnx

    names = graph_names(package, precision, config, [plan.role for plan in plans])
    files = [package.file(package.spec.graphs[name]) for name in names]
    return [TypedGraph(plan, onnx.load(file)) for plan, file in zip(plans, files, strict=True)]


def _quantises_anew(config: ExportConfig) -> bool:
    """Whether the request names ranges, a quantizer or layers, which a graph does not tell."""
    plain = ExportConfig(config.package)
    settings = ("calib", "int8_with", "quantizer")
    return replace(plain, **{name: getattr(config, name) for name in settings}) != plain


def _is_as_asked(graph: GraphSpec | None, config: ExportConfig, extent: ShapeRange) -> bool:
    if graph is None or graph.stale:
        return False
    has_opset = config.opset in (ExportConfig.opset, graph.opset)
    has_extent = ShapeRange(graph.height, graph.width, graph.batch) == extent
    return has_opset and has_extent
