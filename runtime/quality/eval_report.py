"""Results of `vsrc eval`, as values and text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vsrc.runtime.backends.graph_in_use import GraphInUse

MetricValues = dict[str, float | None]
"""Metric -> value; None where undefined (a frame too small, the PSNR of equal frames)."""

_DIGITS = {"psnr": 3, "ssim": 4, "lpips": 4, "vmaf": 2, "tof": 4, "warp": 4}


@dataclass(frozen=True)
class ClipScore:
    """Scores of one clip in one row.

    Attributes:
        clip: Name of the clip.
        frames: Number of frames compared.
        values: Means over the frames.
    """

    clip: str
    frames: int
    values: MetricValues


@dataclass(frozen=True)
class EvalRow:
    """Scores of one upscaler.

    Attributes:
        label: `bicubic`, or the name of the model.
        clips: Scores of each clip.
        mean: Means over the clips, each with the same weight.
    """

    label: str
    clips: tuple[ClipScore, ...]
    mean: MetricValues


@dataclass(frozen=True)
class EvalModel:
    """A model that was measured.

    Attributes:
        label: Its row in the report.
        graph: Graph that was scored, and what ran it.
    """

    label: str
    graph: GraphInUse


@dataclass(frozen=True)
class EvalReport:
    """All results of an evaluation.

    Attributes:
        models: Models that were scored, in the order of their rows.
        data: Folder of the data set.
        layout: Detected layout of the folder.
        scale: HR/LR side ratio.
        degradation: How LR was made.
        border_px: Width cropped from each edge, pixels.
        protocol: How the metrics were computed, a sentence for each.
        warnings: Conditions that affect the numbers.
        rows: Bicubic first, then the models in the order given.
    """

    models: tuple[EvalModel, ...]
    data: str
    layout: str
    scale: int
    degradation: str
    border_px: int
    protocol: tuple[str, ...]
    warnings: tuple[str, ...]
    rows: tuple[EvalRow, ...]


def mean_values(scores: Sequence[MetricValues]) -> MetricValues:
    """Mean of each metric; None if any of the scores is None."""
    means: MetricValues = {}
    for name in scores[0]:
        values = [score[name] for score in scores]
        known = [value for value in values if value is not None]
        means[name] = sum(known) / len(known) if len(known) == len(values) else None
    return means


def eval_text(report: EvalReport) -> str:
    """Format the graph of each model, a table for each clip, one of the means, and the protocol."""
    width = max((len(model.label) for model in report.models), default=0)
    models = [f"{model.label.ljust(width)}  {model.graph}" for model in report.models]
    tables = []
    for number, clip in enumerate(report.rows[0].clips):
        title = f"{clip.clip} ({clip.frames} frame{'s' * (clip.frames > 1)})"
        tables.append((title, [(row.label, row.clips[number].values) for row in report.rows]))
    if len(tables) > 1:
        title = f"mean of {len(tables)} clips"
        tables.append((title, [(row.label, row.mean) for row in report.rows]))
    width = max(len(text) for title, rows in tables for text in (title, *(row[0] for row in rows)))
    blocks = [_table(title, rows, width=width) for title, rows in tables]
    return "\n\n".join(["\n".join(models), *blocks, "\n".join(report.protocol)])


def _table(title: str, rows: Sequence[tuple[str, MetricValues]], *, width: int) -> str:
    names = list(rows[0][1])
    lines = ["  ".join([title.ljust(width), *(name.rjust(9) for name in names)])]
    for label, values in rows:
        cells = [_cell(name, values[name]).rjust(9) for name in names]
        lines.append("  ".join([label.ljust(width), *cells]))
    return "\n".join(lines)


def _cell(name: str, value: float | None) -> str:
    return "-" if value is None else f"{value:.{_DIGITS[name.partition('_')[0]]}f}"
