"""Choose the graph of a package that a provider runs, and the precision it is run in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vsrc.runtime.backends.ort_provider import Provider

if TYPE_CHECKING:
    from pathlib import Path

    from vsrc.runtime.package import Package
    from vsrc.runtime.spec import GraphSpec

BF16 = "bf16"
"""Precision that is not in a graph: OpenVINO runs the fp32 graph in it."""


def best_precision(package: Package, provider: Provider, skipped: list[str] | None = None) -> str:
    """Choose the graph that a provider runs fastest, of those that may be chosen.

    Args:
        package: An opened package.
        provider: Provider that will run it.
        skipped: List to which faster graphs are appended that missed their limit or are stale.
    """
    graphs = package.spec.graphs
    for name in provider.precisions:
        if name in graphs and graphs[name].is_run_by_choice:
            return name
        if name in graphs and skipped is not None:
            stale, lossy = "it is older than the calibration", "it missed its limit at export"
            skipped.append(f"{name} ({stale if graphs[name].stale else lossy})")
    return "fp32"  # if it is missing, too, the error gives the command that exports it


def deep_graph(package: Package, provider: Provider, precision: str) -> str | None:
    """Choose the fastest graph with float inputs and outputs for a provider; None if none."""
    graphs = package.spec.graphs
    wanted = (*provider.precisions, "fp32") if precision == "auto" else (precision,)
    for name in (f"{graph}-float" for graph in wanted):
        file = _file_of(name)
        if file in graphs and graphs[file].is_run_by_choice:
            return name
    return None


def _file_of(precision: str) -> str:
    """Name of the graph whose file is run in a precision."""
    return precision.replace(BF16, "fp32")


def graph_as_run(package: Package, precision: str) -> tuple[Path, GraphSpec]:
    """Return the file of a graph, and its description with the precision in which it is run."""
    path, graph = package.graph(_file_of(precision))
    return path, replace(graph, precision="bf16") if precision.startswith(BF16) else graph
