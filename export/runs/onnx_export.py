"""Add graphs to a model package if they agree with torch."""

from __future__ import annotations

import dataclasses

from vsrc.export.checks.checked_graphs import draft_graphs
from vsrc.export.config import ExportConfig, ExportProgress
from vsrc.export.graphs.ranges import ranges_for
from vsrc.export.graphs.tracing import trace
from vsrc.export.runs.add_graphs import add_to_package
from vsrc.export.runs.result import ExportResult
from vsrc.runtime.package import open_package


def export_onnx(config: ExportConfig, progress: ExportProgress = lambda _: None) -> ExportResult:
    """Write and check graphs of one precision; see `exporting.export`."""
    precision = config.precision
    assert precision != "auto"  # `exporting.export` chooses
    if precision in ("int8", "int8-cpu") and not config.calib:
        ranges_for(open_package(config.package), config, progress)  # fail early
    if config.quantizer == "modelopt":
        from vsrc.export.graphs.quantise_modelopt import check_modelopt

        check_modelopt()
        config = dataclasses.replace(config, halves=False)
    source = trace(config, [precision], progress)
    if config.calib and "fp32" not in source.package.spec.graphs:  # calibration runs this graph
        add_to_package(source, [draft_graphs(source, "fp32", config, progress)], config)
    return add_to_package(source, [draft_graphs(source, precision, config, progress)], config)
