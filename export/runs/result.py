"""Results of an export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vsrc.export.checks.agreement import Agreement
from vsrc.export.checks.quality_gate import worst_db
from vsrc.export.graphs.overflow import Float32Node
from vsrc.export.runs.precision_choice import PrecisionChoice
from vsrc.runtime.backends.device.engine_file import EngineSpec
from vsrc.runtime.spec import GraphSpec, Precision


@dataclass(frozen=True)
class ExportedGraph:
    """One graph that was written.

    Attributes:
        file: Path of the graph.
        name: Name of the graph in the package.
        graph: Spec of the graph in `model.json`.
        nodes: Number of nodes.
        kept_in_fp32: Nodes kept in fp32, as they overflow half precision.
        float_layers: Convolutions of an int8 graph that stay in float.
    """

    file: Path
    name: str
    graph: GraphSpec
    nodes: int
    kept_in_fp32: tuple[Float32Node, ...] = ()
    float_layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExportedEngine:
    """One engine of the package.

    Attributes:
        file: Path of the engine.
        spec: Content of its sidecar.
        built: Whether it was built in this run; False if it existed.
        instead: Why another engine of the same graph and shapes cannot be used; empty without one.
    """

    file: Path
    spec: EngineSpec
    built: bool
    instead: str = ""


@dataclass(frozen=True)
class ExportResult:
    """Output of an export.

    Attributes:
        graphs: Written graphs: whole, then encode and fuse if there are any, for each precision.
        agreements: Name of a graph, or of a pair ("encode-fp32 + fuse-fp32") -> agreement with
            torch at each size.
        reports: Report files in `reports/`.
        engines: Engines of the whole, encode and fuse graphs.
        choice: Result of `--precision auto`; None otherwise.
        judge: What the graphs were compared with.
        kept: Precisions whose graphs the package had already, which `--precision auto` keeps.
    """

    graphs: tuple[ExportedGraph, ...]
    agreements: dict[str, tuple[Agreement, ...]]
    reports: tuple[Path, ...] = ()
    engines: tuple[ExportedEngine, ...] = ()
    choice: PrecisionChoice | None = None
    judge: str = "torch"
    kept: tuple[Precision, ...] = ()

    @property
    def worst_db(self) -> float:
        """Lowest PSNR to torch of all written graphs, dB; infinite if all are equal."""
        return worst_db(
            [agreement for agreements in self.agreements.values() for agreement in agreements]
        )
