"""Write graphs of one precision to memory and compare them with torch."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vsrc.export.checks.agreement import (
    Agreement,
    ComparedGraph,
    GraphComparison,
    Run,
    compare_graphs,
    halves_run,
    run_of,
)
from vsrc.export.checks.float_layers import Trial, iter_float_layers
from vsrc.export.checks.quality_gate import (
    LEAST_INT8_SHARE,
    GateLimits,
    check_agreement,
    check_int8_share,
    is_within,
    limits_of,
)
from vsrc.export.checks.unrounded import unround
from vsrc.export.config import ExportConfig, ExportProgress, ExportStep
from vsrc.export.foreign.wrapping import EDGES
from vsrc.export.graphs.check_frames import Array, CheckedFrames, as_fed
from vsrc.export.graphs.graph_name import graph_name, is_named_stacked
from vsrc.export.graphs.kept_graphs import read_kept
from vsrc.export.graphs.ranges import ranges_for
from vsrc.export.graphs.tracing import TracedNetwork
from vsrc.export.graphs.typed_graphs import TypedGraph, feeds_of, in_precision
from vsrc.export.multiply_accumulates import count_macs, int8_share
from vsrc.runtime.errors import GateError, MismatchError
from vsrc.runtime.spec import Precision

if TYPE_CHECKING:
    import onnx

    from vsrc.calibration.calibration_file import Calibration
    from vsrc.calibration.compensated_rounding import CompensatedRounding
    from vsrc.export.graphs.quantise import Int8Target


@dataclass(frozen=True)
class Draft:
    """Compared graphs of one precision, not yet part of the package.

    Attributes:
        name: Name of the whole graph in the package.
        precision: Precision of all graphs.
        graphs: Whole graph, then encode and fuse graphs if there are any.
        comparison: Result of the comparison with torch.
        limits: What they have to keep within.
        lossy: Whether they miss a limit and were allowed to.
        judge: What they were compared with.
        int8_share: Fraction of the multiply-accumulates of the whole graph that are int8; None for
            a float graph.
        float_layers: Convolutions that stay in float.
    """

    name: str
    precision: Precision
    graphs: tuple[TypedGraph, ...]
    comparison: GraphComparison
    limits: GateLimits
    lossy: bool = False
    judge: str = "torch"
    int8_share: float | None = None
    float_layers: tuple[str, ...] = ()

    @property
    def agreements(self) -> tuple[Agreement, ...]:
        """Agreement of the whole graph, and of the pair, at each size."""
        return tuple(each for of_one in self.comparison.agreements.values() for each in of_one)


def draft_graphs(
    source: TracedNetwork, precision: Precision, config: ExportConfig, progress: ExportProgress
) -> Draft:
    """Write graphs to memory and compare them with torch.

    Int8 graphs that miss a limit are tried again with more layers in float.

    Raises:
        GateError: They miss a limit and `allow_lossy` is off, do not run, or are int8 in less than
            half of their work.
        SpecError: The package has no ranges for int8.
    """
    if precision not in ("int8", "int8-cpu"):
        graphs = _in_precision(source, precision, config, progress)
        return _accept(_compare(source, precision, graphs, config, progress), config)
    if config.quantizer == "modelopt":
        from vsrc.export.graphs.quantise_modelopt import modelopt_graph

        graphs = [modelopt_graph(source, config, progress)]
        draft = _with_share(_compare(source, precision, graphs, config, progress), source, config)
        return _accept(draft, config)
    calibration = ranges_for(source.package, config, progress)
    return _draft_int8(source, precision, calibration, config, progress)


def draft_kept(
    source: TracedNetwork, precision: Precision, config: ExportConfig, progress: ExportProgress
) -> Draft:
    """Compare the graphs that the package has already with torch.

    Raises:
        GateError: They miss a limit and `allow_lossy` is off, or do not run.
    """
    plans = [graph.plan for graph in source.traced]
    graphs = read_kept(source.package, precision, config, plans)
    draft = _compare(source, precision, graphs, config, progress)
    if precision in ("int8", "int8-cpu"):
        draft = _with_share(draft, source, config)
    return _accept(draft, config)


def _draft_int8(
    source: TracedNetwork,
    precision: Precision,
    calibration: Calibration,
    config: ExportConfig,
    progress: ExportProgress,
) -> Draft:
    progress(ExportStep("measuring what convolutions read"))
    roundings = source.roundings

    def write(float_layers: tuple[str, ...]) -> Draft:
        wanted = replace(calibration, float_layers=float_layers)
        graphs = _in_precision(source, precision, config, progress, wanted, roundings)
        draft = _compare(source, precision, graphs, config, progress)
        draft = replace(draft, float_layers=float_layers)
        return _with_share(draft, source, config)

    first = write(calibration.float_layers)
    if is_within(first.agreements, first.limits) and _is_int8(first):
        return first
    target: Int8Target = "cpu" if precision == "int8-cpu" else "nvidia"
    fed = _fed(source, config, source.frames[0])
    trial = Trial(source.traced[0], calibration, target, fed, roundings)
    for float_layers in iter_float_layers(trial, first.agreements, first.limits, progress):
        try:
            draft = write(float_layers)
        except MismatchError:  # nothing is left to quantise
            break
        if not _is_int8(draft):
            break
        if is_within(draft.agreements, draft.limits):
            return draft
    return _accept(first, config)


def _is_int8(draft: Draft) -> bool:
    return draft.int8_share is not None and draft.int8_share >= LEAST_INT8_SHARE


def _in_precision(
    source: TracedNetwork,
    precision: Precision,
    config: ExportConfig,
    progress: ExportProgress,
    calibration: Calibration | None = None,
    roundings: Mapping[str, CompensatedRounding] | None = None,
) -> list[TypedGraph]:
    progress(ExportStep(f"writing {precision}"))
    return in_precision(
        source.traced,
        precision,
        frames=_fed(source, config, source.frames[-1]),
        calibration=calibration,
        int8_with=config.int8_with,
        roundings=roundings,
    )


def _fed(source: TracedNetwork, config: ExportConfig, frames: CheckedFrames) -> Array:
    return as_fed(frames.lr, graph_io=config.io, layout=source.layout)


def _compare(
    source: TracedNetwork,
    precision: Precision,
    graphs: Sequence[TypedGraph],
    config: ExportConfig,
    progress: ExportProgress,
) -> Draft:
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
    limits = limits_of(precision, min_psnr=config.min_psnr, max_loss=config.max_loss)
    judge = source.reference.name
    return Draft(names[0], precision, tuple(graphs), comparison, limits, judge=judge)


def _with_share(draft: Draft, source: TracedNetwork, config: ExportConfig) -> Draft:
    """Count how much of the network's work is int8, without the colours around a foreign graph."""
    whole = draft.graphs[0]
    feeds = feeds_of([whole], _fed(source, config, source.frames[0]))[0]
    macs = count_macs(whole.model, feeds)
    own = {name: count for name, count in macs.items() if not name.startswith(EDGES)}
    return replace(draft, int8_share=int8_share(whole.model, own))


def _accept(draft: Draft, config: ExportConfig) -> Draft:
    """Return a draft that keeps within its limits; one that misses them as `lossy`, if allowed."""
    if draft.int8_share is not None:
        check_int8_share(draft.name, draft.int8_share, draft.float_layers)
    try:
        for name, of_one in draft.comparison.agreements.items():
            check_agreement(
                name, of_one, precision=draft.precision, limits=draft.limits, judge=draft.judge
            )
    except GateError:
        if not config.allow_lossy:
            raise
        return replace(draft, lossy=True)
    return draft


def _subjects(graphs: dict[str, TypedGraph], folder: Path) -> dict[str, ComparedGraph]:
    """Subjects of the comparison: the whole graph, and the pair."""
    as_it_is = {name: _save(graph.model, folder / f"{name}.onnx") for name, graph in graphs.items()}
    unrounded = {
        name: _save(unround(graph.model), folder / f"{name}.exact.onnx")
        for name, graph in graphs.items()
    }
    whole, *halves = graphs
    state = graphs[whole].plan.state
    subjects = {
        whole: ComparedGraph(run_of(as_it_is[whole], state), run_of(unrounded[whole], state))
    }
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
