"""Export every precision that passes its check, compare latencies, and recommend one."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from vsrc.export.checks.checked_graphs import Draft, draft_graphs, draft_kept
from vsrc.export.checks.quality_gate import worst_db
from vsrc.export.config import PRECISIONS, ExportConfig, ExportProgress, ExportStep
from vsrc.export.graphs.graph_name import graph_name
from vsrc.export.graphs.kept_graphs import is_kept
from vsrc.export.graphs.ranges import ranges_for
from vsrc.export.graphs.tracing import TracedNetwork, trace
from vsrc.export.runs.add_graphs import add_to_package
from vsrc.export.runs.precision_choice import PrecisionCandidate, PrecisionChoice, choose_precision
from vsrc.export.runs.result import ExportResult
from vsrc.export.shape_range import ShapeRange
from vsrc.runtime.errors import GateError, MismatchError, SpecError
from vsrc.runtime.package import open_package
from vsrc.runtime.spec import Precision
from vsrc.runtime.windows.session import Session

_SIZE = (180, 320)
_LEAST_ROUNDS, _MOST_ROUNDS, _SECONDS = 5, 50, 8.0


def export_all(config: ExportConfig, progress: ExportProgress) -> ExportResult:
    """Export every precision; those that miss their limit, or lack ranges, are skipped.

    Graphs that the package has already are kept and measured, unless they are to be replaced.
    Precisions are timed alternately, frame by frame, so that other load on the machine affects all
    alike.

    Raises:
        GateError: fp32 itself misses its limit.
    """
    source = trace(config, PRECISIONS, progress)
    kept = _kept(source, config)
    drafts: list[Draft] = []
    refused: dict[Precision, str] = {}
    for precision in PRECISIONS:
        if precision != "fp32" and config.calib and len(drafts) == 1 and not kept:
            add_to_package(source, drafts, config)  # calibration runs the fp32 graph
        try:
            if precision in kept:
                drafts.append(draft_kept(source, precision, config, progress))
                continue
            if precision in ("int8", "int8-cpu"):
                config = _calibrate_once(config, progress)
            drafts.append(draft_graphs(source, precision, config, progress))
        except (GateError, SpecError, MismatchError) as error:
            if precision == "fp32":
                raise
            refused[precision] = str(error)
    result = _add_new(source, drafts, kept, config)
    if config.io != "uint8":
        return result  # a session needs uint8 graphs
    choice = _choice(source, drafts, refused, config, progress)
    return replace(result, choice=choice)


def _kept(source: TracedNetwork, config: ExportConfig) -> tuple[Precision, ...]:
    """Precisions that the package has already."""
    roles = [graph.plan.role for graph in source.traced]
    return tuple(
        precision
        for precision in PRECISIONS
        if is_kept(source.package, precision, config, roles=roles, extent=source.extent)
    )


def _add_new(
    source: TracedNetwork,
    drafts: Sequence[Draft],
    kept: tuple[Precision, ...],
    config: ExportConfig,
) -> ExportResult:
    """Add what is new to the package; the result has the agreement of what was kept, too."""
    agreements = {name: of for draft in drafts for name, of in draft.comparison.agreements.items()}
    new = [draft for draft in drafts if draft.precision not in kept]
    result = ExportResult((), {}, judge=source.reference.name)
    if new:
        result = add_to_package(source, new, config)
    return replace(result, agreements=agreements, kept=kept)


def _calibrate_once(config: ExportConfig, progress: ExportProgress) -> ExportConfig:
    """Calibrate on the clips, if there are any; all int8 graphs then use these ranges."""
    if not config.calib or config.quantizer != "vsrc":
        return config
    ranges_for(open_package(config.package), config, progress)
    return replace(config, calib=())


def _choice(
    source: TracedNetwork,
    drafts: list[Draft],
    refused: Mapping[Precision, str],
    config: ExportConfig,
    progress: ExportProgress,
) -> PrecisionChoice:
    package = open_package(source.package.path)
    height, width = _size(config, source.extent, source.package.spec.network.size_multiple)
    sessions = {
        draft.precision: package.session(precision=graph_name(draft.precision)) for draft in drafts
    }
    times = _times(sessions, height, width, progress)
    candidates = []
    for draft in drafts:
        agreements = draft.comparison.agreements[draft.name]
        worst = worst_db(agreements)
        gains = [each.gain_db for each in agreements if each.gain_db is not None]
        candidates.append(
            PrecisionCandidate(
                draft.precision,
                psnr_db=worst if np.isfinite(worst) else None,
                gain_db=min(gains, default=None),
                size_bytes=package.spec.graphs[draft.name].size_bytes,
                latency_ms=times[draft.precision],
            )
        )
    candidates += [PrecisionCandidate(precision, refused=why) for precision, why in refused.items()]
    backend = sessions["fp32"].label.rpartition(" ")[0]
    for session in sessions.values():
        session.close()
    return choose_precision(candidates, backend=backend, height=height, width=width)


def _size(config: ExportConfig, extent: ShapeRange, multiple: int) -> tuple[int, int]:
    """The optimum size if given, else a typical one of edge devices."""
    wanted = config.shape[len(config.shape) // 2] if config.shape else _SIZE
    sides = zip(wanted, (extent.height, extent.width), strict=True)
    rows, columns = (
        min(max(side, low), high) // multiple * multiple for side, (low, high) in sides
    )
    return rows, columns


def _times(
    sessions: Mapping[Precision, Session], height: int, width: int, progress: ExportProgress
) -> dict[Precision, float]:
    """Median latency of a window, ms."""
    window = next(iter(sessions.values())).network.window
    lr = np.random.default_rng(0).integers(0, 256, (1, window, height, width, 3), dtype=np.uint8)
    for session in sessions.values():
        session(lr)
    samples: dict[Precision, list[float]] = {precision: [] for precision in sessions}
    started = time.perf_counter()
    for done in range(_MOST_ROUNDS):
        if done >= _LEAST_ROUNDS and time.perf_counter() - started > _SECONDS:
            break
        progress(ExportStep("timing all precisions", done, _MOST_ROUNDS))
        for precision, session in sessions.items():
            before = time.perf_counter()
            session(lr)
            samples[precision].append(1e3 * (time.perf_counter() - before))
    return {precision: statistics.median(times) for precision, times in samples.items()}
