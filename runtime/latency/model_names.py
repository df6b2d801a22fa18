"""Names of measured models in tables, on pages and in messages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vsrc.runtime.latency.report import BenchReport
from vsrc.runtime.text.path_names import name_of_path, names_of_paths


def model_names(reports: Sequence[BenchReport]) -> list[str]:
    """Name each model by its file, and by parent folders where that is ambiguous."""
    return names_of_paths([Path(report.subject.model) for report in reports])


def model_name(report: BenchReport) -> str:
    """Name the model of one report by its file, without .vsrc."""
    return name_of_path(Path(report.subject.model))


def with_network(name: str, report: BenchReport) -> str:
    """Add the network and its scale to a name, unless it is the name: "student (edge-s x4)"."""
    return named_with(name, report.subject.network, scale=report.subject.scale)


def named_with(name: str, network: str, *, scale: int | None) -> str:
    """Add a network and its scale to a name, as `with_network` does."""
    factor = f" x{scale}" if scale else ""
    is_same = name == network or (not scale and Path(name).stem == network)
    return f"{name}{factor}" if is_same else f"{name} ({network}{factor})"
