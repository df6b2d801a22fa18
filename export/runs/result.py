"""What an export wrote."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vsrc.export.checks.agreement import Agreement
from vsrc.export.checks.quality_gate import worst_db
from vsrc.export.graphs.overflow import Float32Node
from vsrc.export.runs.precision_choice import PrecisionChoice
from vsrc.runtime.backends.engine_file import EngineSpec
from vsrc.runtime.spec import GraphSpec


@dataclass(frozen=True)
class ExportedGraph:
    """One graph that was written.

    Attributes:
        file: The graph.
        name: What the package calls it.
        graph: Its description in `model.json`.
        nodes: Operators in it.
        kept_in_fp32: Nodes that half precision cannot hold.
    """

    file: Path
    name: str
    graph: GraphSpec
    nodes: int
    kept_in_fp32: tuple[Float32Node, ...] = ()


@dataclass(frozen=True)
class ExportedEngine:
    """One engine of the package.

    Attributes:
        file: The engine.
        spec: What its sidecar says.
        built: Whether it was built just now; it may have been there.
    """

    file: Path
    spec: EngineSpec
    built: bool


@dataclass(frozen=True)
class ExportResult:
    """What was written.

    Attributes:
        graphs: The whole network first, then its halves where it has any; again for each precision.
        agreements: Name of a graph, or of a pair ("encode-fp32 + fuse-fp32") -> the comparison with
            torch, one for each size.
        reports: What tells of it in `reports/`.
        engines: Of the whole and of its halves.
        choice: What `--precision auto` found.
    """

    graphs: tuple[ExportedGraph, ...]
    agreements: dict[str, tuple[Agreement, ...]]
    reports: tuple[Path, ...] = ()
    engines: tuple[ExportedEngine, ...] = ()
    choice: PrecisionChoice | None = None

    @property
    def worst_db(self) -> float:
        """Least agreement with torch of anything that was written; infinite where all is equal."""
        return worst_db(
            [agreement for agreements in self.agreements.values() for agreement in agreements]
        )
