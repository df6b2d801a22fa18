"""Add checked graphs to a package."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from vsrc.export.checks.agreement import Agreement
from vsrc.export.checks.checked_graphs import Draft
from vsrc.export.checks.quality_gate import worst_db
from vsrc.export.config import ExportConfig
from vsrc.export.graphs.graph_name import graph_name, is_named_stacked
from vsrc.export.graphs.tracing import TracedNetwork
from vsrc.export.graphs.typed_graphs import TypedGraph, opset_of
from vsrc.export.runs.report import write_reports
from vsrc.export.runs.result import ExportedGraph, ExportResult
from vsrc.runtime.package import describe_file, open_package, open_package_update, write_spec
from vsrc.runtime.processes.stop_signal import delay_stop_signal
from vsrc.runtime.spec import GraphSpec


def add_to_package(
    source: TracedNetwork, drafts: Sequence[Draft], config: ExportConfig
) -> ExportResult:
    """Write graphs, reports and the description of them to the package, as one step."""
    path = source.package.path
    written: list[ExportedGraph] = []
    reports: list[Path] = []
    agreements: dict[str, tuple[Agreement, ...]] = {}
    with delay_stop_signal(), open_package_update(path) as draft_of_package:
        (draft_of_package / "graphs").mkdir()
        for draft in drafts:
            of_it = [
                _write_graph(source, draft, graph, config, draft_of_package)
                for graph in draft.graphs
            ]
            reports += write_reports(
                draft_of_package,
                draft,
                of_it,
                model=path.resolve().name.removesuffix(".vsrc"),
            )
            written += of_it
            agreements |= draft.comparison.agreements
        spec = open_package(path).spec
        graphs = {**spec.graphs, **{graph.name: graph.graph for graph in written}}
        write_spec(draft_of_package, dataclasses.replace(spec, graphs=graphs))
    there = tuple(path / report.relative_to(draft_of_package) for report in reports)
    return ExportResult(tuple(written), agreements, there, judge=source.reference.name)


def _write_graph(
    source: TracedNetwork, draft: Draft, typed: TypedGraph, config: ExportConfig, folder: Path
) -> ExportedGraph:
    """Write a graph below `folder`, at its path in the package."""
    stacked = is_named_stacked(source.package.spec.network, config)
    name = graph_name(draft.precision, config.io, typed.plan.role, is_stacked=stacked)
    extent = source.extent
    agreements = next(
        of for each, of in draft.comparison.agreements.items() if name in each.split(" + ")
    )
    worst = worst_db(agreements)
    content = typed.model.SerializeToString(deterministic=True)
    (folder / "graphs" / f"{name}.onnx").write_bytes(content)
    graph = GraphSpec(
        **vars(describe_file(folder, f"graphs/{name}.onnx")),
        precision=draft.precision,
        io=config.io,
        opset=opset_of(typed.model),
        height=extent.height,
        width=extent.width,
        batch=extent.batch,
        role=typed.plan.role,
        encoded_frames=typed.plan.encoded_frames,
        features=typed.plan.features,
        psnr_db=worst if -1e3 < worst < 1e3 else None,
        lossy=draft.lossy,
        layout=source.layout,
        int8_share=draft.int8_share if typed.plan.role == "whole" else None,
    )
    file = source.package.path / graph.file
    nodes = len(typed.model.graph.node)
    return ExportedGraph(file, name, graph, nodes, typed.kept, draft.float_layers)
