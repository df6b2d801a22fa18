"""Names of measured models in tables, on pages and in messages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vsrc.runtime.latency.report import BenchReport


def model_names(reports: Sequence[BenchReport]) -> list[str]:
    """Name each model by its file, without .vsrc.

    Different models with the same file name get as many of their parent folders as tell them
    apart; the same model, measured twice, keeps its name.
    """
    paths = [_name_path(report.subject.model) for report in reports]
    return [_shortest(path, paths) for path in paths]


def model_name(report: BenchReport) -> str:
    """Name the model of one report by its file, without .vsrc."""
    return name_of_path(report.subject.model)


def name_of_path(model: str) -> str:
    """Name a model by its path as given: its file, without .vsrc."""
    return _name_path(model).name


def with_network(name: str, report: BenchReport) -> str:
    """Add the network and its scale to a name, unless it is the name: "student (edge-s x4)"."""
    return named_with(name, report.subject.network, scale=report.subject.scale)


def named_with(name: str, network: str, *, scale: int | None) -> str:
    """Add a network and its scale to a name, as `with_network` does."""
    factor = f" x{scale}" if scale else ""
    is_same = name == network or (not scale and Path(name).stem == network)
    return f"{name}{factor}" if is_same else f"{name} ({network}{factor})"


def _name_path(model: str) -> Path:
    path = Path(model)
    return path.with_suffix("") if path.suffix == ".vsrc" else path


def _shortest(path: Path, paths: Sequence[Path]) -> str:
    others = {other.parts for other in paths} - {path.parts}
    for count in range(1, len(path.parts) + 1):
        end = path.parts[-count:]
        if all(other[-count:] != end for other in others):
            return str(Path(*end))
    return str(path)
