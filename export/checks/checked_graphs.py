"""Write graphs of one precision to memory and compare them with torch."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vsrc.export.checks.agreement import (
    ComparedGraph,
    GraphComparison,
    Run,
    compare_graphs,
    halves_run,
    steps_run,
    whole_run,
)
from vsrc.export.checks.quality_gate import check_agreement
from vsrc.export.checks.unrounded import unround
from vsrc.export.config import ExportConfig, ExportProgress, ExportStep
from vsrc.export.graphs.check_frames import as_fed
from vsrc.export.graphs.graph_name import graph_name
from vsrc.export.graphs.ranges import ranges_for
from vsrc.export.graphs.tracing import TracedNetwork, is_named_stacked
from vsrc.export.graphs.typed_graphs import TypedGraph, in_precision
from vsrc.runtime.errors import GateError
from vsrc.runtime.spec import Precision

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Draft:
    """Compared graphs of one precision, not yet part of the package.

    Attributes:
        name: Name of the whole graph in the package.
        precision: Precision of all graphs.
        graphs: Whole graph, then encode and fuse graphs if there are any.
        comparison: Result of the comparison with torch.
        lossy: Whether they miss the limit and were allowed to.
        judge: What they were compared with.
    """

    name: str
    precision: Precision
    graphs: tuple[TypedGraph, ...]
    comparison: GraphComparison
    lossy: bool
    judge: str = "torch"


def draft_graphs(
    source: TracedNetwork, precision: Precision, config: ExportConfig, progress: ExportProgress
) -> Draft:
    """Write graphs to memory and compare them with torch.

    Raises:
        GateError: They miss the limit and `allow_lossy` is off, or do not run.
        SpecError: The package has no ranges for int8.
    """
    graphs = _write_typed(source, precision, config, progress)
    progress(ExportStep(f"comparing {precision} with {source.reference.name}"))
    stacked = is_named_stacked(source.package.spec.network, config)
    names = [
        graph_name(precision, config.io, graph.plan.role, is_stacked=stacked) for graph in graphs
    ]
    with tempfile.TemporaryDirectory() as folder:
        comparison = compare_graphs(
            _subjects(dict(zip(names, graphs, strict=True)), Path(folder)),
            source.reference,
            graph_io=config.io,
            layout=source.layout,
            frames=source.frames,
        )
    lossy = _is_lossy(comparison, precision, config, source.reference.name)
    return Draft(names[0], precision, tuple(graphs), comparison, lossy, source.reference.name)


def _write_typed(
    source: TracedNetwork, precision: Precision, config: ExportConfig, progress: ExportProgress
) -> list[TypedGraph]:
    if precision == "int8" and config.quantizer == "modelopt":
        from vsrc.export.graphs.quantise_modelopt import modelopt_graph

        return [modelopt_graph(source, config, progress)]
    calibration = None
    if precision in ("int8", "int8-cpu"):
        calibration = ranges_for(source.package, config, progress)
    progress(ExportStep(f"writing {precision}"))
    lr = source.frames[-1].lr
    return in_precision(
        source.traced,
        precision,
        frames=as_fed(lr, graph_io=config.io, layout=source.layout),
        calibration=calibration,
        int8_with=config.int8_with,
    )


def _is_lossy(
    comparison: GraphComparison, precision: Precision, config: ExportConfig, judge: str
) -> bool:
    try:
        for name, of_one in comparison.agreements.items():
            check_agreement(
                name, of_one, precision=precision, limit_db=config.min_psnr, judge=judge
            )
    except GateError:
        if not config.allow_lossy:
            raise
        return True
    return False


def _subjects(graphs: dict[str, TypedGraph], folder: Path) -> dict[str, ComparedGraph]:
    """Subjects of the comparison: the whole graph, and the pair."""
    as_it_is = {name: _save(graph.model, folder / f"{name}.onnx") for name, graph in graphs.items()}
    unrounded = {
        name: _save(unround(graph.model), folder / f"{name}.exact.onnx")
        for name, graph in graphs.items()
    }
    whole, *halves = graphs
    state = graphs[whole].plan.state

    def run_whole(file: Path) -> Run:
        return steps_run(file, state) if state else whole_run(file)

    subjects = {whole: ComparedGraph(run_whole(as_it_is[whole]), run_whole(unrounded[whole]))}
    if halves:
        plan = graphs[halves[0]].plan

        def run(files: Sequence[Path]) -> Run:
            encode, fuse = files
            count, features = plan.encoded_frames, plan.features
            return halves_run(encode, fuse, encoded_frames=count, features=features)

        pair = [as_it_is[name] for name in halves]
        subjects[" + ".join(halves)] = ComparedGraph(
            run(pair), run([unrounded[name] for name in halves])
        )
    return subjects


def _save(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path
