"""Compare two latency reports metric by metric, taking noise into account.

A metric with samples is judged by the interval of its relative change, computed from the runs of
both reports (`vsrc.runtime.report.interval`), as measured and without the time that other processes
took (`vsrc.runtime.latency.contention`). It is called better or worse only if that interval
excludes zero and the change is more than `LEAST_CHANGE`. Reports of fewer than `LEAST_RUNS`
processes do not show the variation between processes, and the noise of metrics with a single value
per report is unknown: these are shown but not judged. The exception is peak memory, which is nearly
free of noise and is judged from `LEAST_MEMORY_CHANGE` on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vsrc.runtime.errors import GateError, SpecError
from vsrc.runtime.latency.contention import BUSY_SHARE, LOADED, overall_share, without_others
from vsrc.runtime.latency.measurement import split_runs
from vsrc.runtime.latency.model_names import named_with
from vsrc.runtime.latency.report import COMPARABLE_VERSIONS, KIND, SCHEMA_VERSION, SET_KIND
from vsrc.runtime.machine import cores_text
from vsrc.runtime.report.distribution import samples_needed
from vsrc.runtime.report.interval import (
    LEAST_RUNS,
    Floats,
    Interval,
    enclose,
    mean,
    median,
    resample,
    widen,
)
from vsrc.runtime.schema import to_json
from vsrc.runtime.text.missing_path import describe_missing
from vsrc.runtime.text.path_names import name_of_path
from vsrc.runtime.text.size_text import format_shape

LEAST_CHANGE = 0.02
LEAST_MEMORY_CHANGE = 0.05

COLUMNS = ("", "old", "new", "change", "95 % interval", "")

Verdict = Literal["better", "worse", "no difference", "not judged"]


def _p(percent: float) -> Callable[[Floats], float]:
    return lambda values: float(np.percentile(values, percent))


_EXPECTED = "expected a report that vsrc bench MODEL --json wrote"
_FROM_SAMPLES: dict[str, tuple[Callable[[Floats], float], float]] = {
    "latency_ms.p50": (median, 50.0),
    "latency_ms.p95": (_p(95.0), 95.0),
    "latency_ms.p99": (_p(99.0), 99.0),
    "latency_ms.mean": (mean, 50.0),
}
"""Metric -> its statistic of the samples, and the percentile that needs enough samples."""

_SINGLE = {
    "memory.peak_bytes": LEAST_MEMORY_CHANGE,
    "power.joule_per_frame": None,
    "startup.load_ms": None,
    "startup.first_inference_ms": None,
    "stages.end_to_end_fps": None,
}
"""Metric with a single value -> change from which on it is judged, None for never."""

_SAME = {
    "network": ("subject.network",),
    "shape": ("feed.height_px", "feed.width_px"),
    "machine": ("machine.cpu", "machine.cores"),
    "threads": ("subject.threads",),
    "backend or graph": ("subject.session",),
    "power mode": ("device.facts.power mode",),
}
"""Condition that should be the same in both reports -> fields that describe it."""


@dataclass(frozen=True)
class Change:
    """One metric in two reports.

    Attributes:
        metric: Dotted path of the field in the report.
        old: Value in the old report; None where it has none.
        new: Value in the new report; None where it has none.
        change: Relative change, new / old - 1; None where a value is missing or zero.
        interval: 95 % interval of the change; None where there are no samples.
        verdict: Whether the new value is better.
    """

    metric: str
    old: float | None
    new: float | None
    change: float | None
    interval: Interval | None
    verdict: Verdict


@dataclass(frozen=True)
class BenchComparison:
    """Two reports side by side.

    Attributes:
        old: Path of the old report.
        new: Path of the new report.
        old_subject: What the old report is of: network, session, shape and machine.
        new_subject: The same of the new report.
        changes: Change of each metric.
        notes: Conditions that differ between the reports and should not.
    """

    old: str
    new: str
    old_subject: str
    new_subject: str
    changes: tuple[Change, ...]
    notes: tuple[str, ...]

    @property
    def worse(self) -> list[Change]:
        """Changes whose verdict is worse."""
        return [change for change in self.changes if change.verdict == "worse"]

    @property
    def result(self) -> str:
        """What the comparison found, in a few words."""
        better = [change for change in self.changes if change.verdict == "better"]
        if self.worse:
            return f"worse: {', '.join(change.metric for change in self.worse)}"
        if better:
            return f"better: {', '.join(change.metric for change in better)}"
        is_judged = any(change.verdict == "no difference" for change in self.changes)
        return "no difference found" if is_judged else "nothing could be judged"


def compare_reports(old: Path, new: Path) -> BenchComparison:
    """Compare two reports that `vsrc bench --json` wrote.

    Raises:
        SpecError: One of them is not a latency report of this version.
    """
    before, after = _report(old), _report(new)
    changes = (*_iter_sampled_changes(before, after), *_single(before, after))
    return BenchComparison(
        old=str(old),
        new=str(new),
        old_subject=_describe_subject(before),
        new_subject=_describe_subject(after),
        changes=changes,
        notes=tuple(_notes(before, after)),
    )


def check_no_regression(comparison: BenchComparison) -> None:
    """Raise if a metric has become worse.

    Raises:
        GateError: Names each metric and by how much.
    """
    if comparison.worse:
        words = [
            f"{change.metric} is {abs(change.change or 0):.1%} worse" for change in comparison.worse
        ]
        raise GateError(f"{comparison.new} against {comparison.old}: {'; '.join(words)}")


def comparison_rows(comparison: BenchComparison) -> list[tuple[str, ...]]:
    """Format a row of cells for each metric, in the order of `COLUMNS`; a dash where unknown."""
    return [
        (
            change.metric,
            _number(change.old),
            _number(change.new),
            "-" if change.change is None else f"{change.change:+.1%}",
            "-"
            if change.interval is None
            else f"{change.interval.low:+.1%} to {change.interval.high:+.1%}",
            change.verdict,
        )
        for change in comparison.changes
    ]


def bench_comparison_text(comparison: BenchComparison) -> str:
    """Format a line for each metric."""
    rows = [COLUMNS, *comparison_rows(comparison)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *cells, verdict in rows:
        middle = [cell.rjust(width) for cell, width in zip(cells, widths[1:-1], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *middle, verdict]).rstrip())
    head = [f"old  {comparison.old_subject}", f"new  {comparison.new_subject}"]
    notes = [f"Note: {note}" for note in comparison.notes]
    return "\n".join([*head, *lines, *notes, comparison.result])


def comparison_to_text(comparison: BenchComparison) -> str:
    """Format a comparison as JSON."""
    head = {"kind": f"{KIND}-comparison", "schema_version": SCHEMA_VERSION}
    return json.dumps({**head, **to_json(comparison)}, indent=2, allow_nan=False) + "\n"


def _describe_subject(report: dict[str, Any]) -> str:
    """Model, network, session, shape and machine of a report."""
    model, session = (_raw(report, f"subject.{name}") for name in ("model", "session"))
    network, scale = (_raw(report, f"subject.{name}") for name in ("network", "scale"))
    named = named_with(name_of_path(Path(model)) if model else network, network, scale=scale)
    height, width = (_raw(report, f"feed.{name}") for name in ("height_px", "width_px"))
    cpu = _raw(report, "machine.cpu") or _raw(report, "machine.architecture")
    cores = _raw(report, "machine.cores")
    return f"{named} on {session}, {format_shape(height, width)}, {cpu}, {cores_text(cores)}"


def _iter_sampled_changes(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
    both = [_runs(report) for report in (before, after)]
    wholes = [np.concatenate(runs) for runs, _ in both]
    versions = _versions(both)
    for metric, (statistic, percent) in _FROM_SAMPLES.items():
        enough = [len(whole) >= samples_needed(percent) for whole in wholes]
        old, new = (
            statistic(whole) if ok else None for whole, ok in zip(wholes, enough, strict=True)
        )
        intervals = [_interval(old, new, statistic) for old, new in versions] if all(enough) else []
        yield _change(metric, old, new, enclose(intervals))
    # More is better; its noise is that of the mean latency, whose inverse it is.
    old, new = (_value(report, "throughput_fps") for report in (before, after))
    ends = enclose(_interval(second, first, mean) for first, second in versions)
    yield _change("throughput_fps", old, new, ends)


def _runs(report: dict[str, Any]) -> tuple[list[tuple[float, ...]], Sequence[float]]:
    """Return the samples of each process, and the share of its time that others took."""
    runs = split_runs(report["samples_ms"], report.get("samples_per_run", ()))
    return runs, report.get("taken_share_per_run") or (0.0,) * len(runs)


def _versions(
    both: Sequence[tuple[Sequence[Sequence[float]], Sequence[float]]],
) -> list[tuple[list[Floats], list[Floats]]]:
    """Return the runs of old and new as measured, and without the time that others took."""
    old, new = (list(without_others(runs, shares)) for runs, shares in both)
    count = max(len(old), len(new))
    old, new = (part * count if len(part) == 1 else part for part in (old, new))
    return list(zip(old, new, strict=True))


def _interval(
    old: Sequence[Floats], new: Sequence[Floats], statistic: Callable[[Floats], float]
) -> Interval | None:
    """Compute the interval of the change from old to new."""
    first, second = (resample(runs, statistic, seed=at) for at, runs in enumerate((old, new)))
    if first is None or second is None:
        return None
    values = [statistic(np.concatenate(runs)) for runs in (old, new)]
    if values[0] <= 0 or first.min() <= 0:
        return None
    ratio = widen(values[1] / values[0], second / first, runs=min(len(old), len(new)))
    return Interval(ratio.low - 1, ratio.high - 1)


def _single(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
    for metric, least in _SINGLE.items():
        old, new = _value(before, metric), _value(after, metric)
        if old is None and new is None:
            continue
        change = _change(metric, old, new, None)
        if least is None or change.change is None:
            yield change
            continue
        verdict: Verdict = "no difference"
        if abs(change.change) > least:
            verdict = "worse" if change.change > 0 else "better"
        yield Change(metric, old, new, change.change, None, verdict)


def _change(metric: str, old: float | None, new: float | None, interval: Interval | None) -> Change:
    change = new / old - 1 if old and new is not None else None
    if change is None or interval is None:
        return Change(metric, old, new, change, None, "not judged")
    sure = interval.low > 0 or interval.high < 0
    if not sure or abs(change) <= LEAST_CHANGE:
        return Change(metric, old, new, change, interval, "no difference")
    more_is_better = metric.endswith("_fps")
    better = (change > 0) == more_is_better
    return Change(metric, old, new, change, interval, "better" if better else "worse")


def _notes(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for what, paths in _SAME.items():
        old, new = ([_raw(report, path) for path in paths] for report in (before, after))
        if old != new:
            stated = [" ".join(map(str, values)) for values in (old, new)]
            yield f"{what} differs: {stated[0]}, then {stated[1]}"
    for which, report in (("old", before), ("new", after)):
        if words := _other_work(report):
            yield f"other work was running during {which} ({words})"
        if (runs := len(_runs(report)[0])) < LEAST_RUNS:
            count = "one process" if runs == 1 else f"{runs} processes"
            yield (
                f"{which} was measured in {count}: the variation between processes is unknown, so "
                f"speed is not judged; measure with --runs {LEAST_RUNS} or more"
            )


def _other_work(report: dict[str, Any]) -> str:
    """Describe the amount of other work; empty if negligible."""
    if report.get("taken_share_per_run") is not None:
        share = overall_share(*_runs(report))
        return f"up to {share:.0%} of the time" if share > BUSY_SHARE else ""
    load, cores = _value(report, "machine.load_average"), _value(report, "machine.cores")
    loaded = load is not None and cores and load > LOADED * cores
    return f"load average {load:.1f}" if loaded else ""


def _report(path: Path) -> dict[str, Any]:
    data = _json(path)
    if isinstance(data, dict) and data.get("kind") == SET_KIND:
        raise SpecError(
            f"{path} holds the reports of several models, and the reports of two are compared; "
            "measure each alone: vsrc bench MODEL --json FILE"
        )
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise SpecError(f"{path} is not a latency report; {_EXPECTED}")
    if data.get("schema_version") not in COMPARABLE_VERSIONS:
        raise SpecError(
            f"{path}: schema version {data.get('schema_version')}, this vsrc reads {SCHEMA_VERSION}"
        )
    samples = data.get("samples_ms")
    numbers = isinstance(samples, list) and all(
        isinstance(sample, (int, float)) and sample >= 0 for sample in samples
    )
    if not samples or not numbers:
        raise SpecError(f"{path}: samples_ms must be a list of durations")
    lengths = data.get("samples_per_run", [len(samples)])
    if not isinstance(lengths, list) or sum(lengths) != len(samples) or min(lengths) < 1:
        raise SpecError(f"{path}: samples_per_run does not add up to the samples")
    shares = data.get("taken_share_per_run") or [0.0] * len(lengths)
    if len(shares) != len(lengths) or not all(0 <= share < 1 for share in shares):
        raise SpecError(f"{path}: taken_share_per_run must hold a share in [0, 1) for each run")
    return data


def _json(path: Path) -> Any:  # noqa: ANN401  JSON
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SpecError(describe_missing(path)) from error
    except OSError as error:
        raise SpecError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path} is not JSON ({error}); {_EXPECTED}") from error


def _raw(report: dict[str, Any], path: str) -> Any:  # noqa: ANN401  JSON
    value: Any = report
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _value(report: dict[str, Any], path: str) -> float | None:
    value = _raw(report, path)
    return float(value) if isinstance(value, (int, float)) else None


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
