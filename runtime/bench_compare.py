"""Say of two latency reports which is better, metric by metric, and whether noise could do it.

A metric with samples is judged by the interval of its relative change, drawn from the samples of
both reports (`vsrc.runtime.interval`). It is called better or worse only if that interval leaves
out zero and the change is more than `LEAST_CHANGE`: less than that two runs of the same thing
differ by, because a process does not get the same memory twice. Metrics of which a report holds a
single value have no noise to be judged by, so they are shown and not judged; but peak memory
hardly has any, and counts from `LEAST_MEMORY_CHANGE` on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vsrc.runtime.bench_report import KIND, SCHEMA_VERSION
from vsrc.runtime.distribution import samples_needed
from vsrc.runtime.errors import GateError, SpecError
from vsrc.runtime.interval import (
    LEAST_RUNS,
    Floats,
    Interval,
    block_count,
    mean,
    median,
    resampled,
    widened,
)
from vsrc.runtime.measurement import split_runs
from vsrc.runtime.schema import to_json

LEAST_CHANGE = 0.02
LEAST_MEMORY_CHANGE = 0.05
LOADED = 0.25
"""Share of the cores that others want, from which on a report is not to be trusted."""

COLUMNS = ("", "old", "new", "change", "95 % interval", "")

Verdict = Literal["better", "worse", "no difference", "not judged"]


def _p(percent: float) -> Callable[[Floats], float]:
    return lambda values: float(np.percentile(values, percent))


_FROM_SAMPLES: dict[str, tuple[Callable[[Floats], float], float]] = {
    "latency_ms.p50": (median, 50.0),
    "latency_ms.p95": (_p(95.0), 95.0),
    "latency_ms.p99": (_p(99.0), 99.0),
    "latency_ms.mean": (mean, 50.0),
}
"""Metric -> how it is found from samples, and the percentile for which there must be enough."""

_SINGLE = {
    "memory.peak_bytes": LEAST_MEMORY_CHANGE,
    "power.joule_per_frame": None,
    "startup.load_ms": None,
    "startup.first_inference_ms": None,
    "stages.end_to_end_fps": None,
}
"""Metric of which there is one value -> change from which on it is judged, None for never."""

_SAME = {
    "shape": ("feed.height_px", "feed.width_px"),
    "machine": ("machine.cpu", "machine.cores"),
    "threads": ("subject.threads",),
    "what runs it": ("subject.session",),
    "power mode": ("device.facts.power mode",),
}
"""What should be alike in both reports -> the fields that say so."""


@dataclass(frozen=True)
class Change:
    """One metric in two reports.

    Attributes:
        metric: Dotted path in the report.
        old: Its value; None where the report has none.
        new: The same of the other.
        change: new / old - 1; None where a value is missing or zero.
        interval: 95 % interval of the change; None where there are no samples to draw from.
        verdict: Which of them is better.
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
        old: Path of the report that is compared with.
        new: Path of the other.
        changes: Metric by metric.
        notes: What differs between the reports and should not.
    """

    old: str
    new: str
    changes: tuple[Change, ...]
    notes: tuple[str, ...]

    @property
    def worse(self) -> list[Change]:
        """What has become worse."""
        return [one for one in self.changes if one.verdict == "worse"]


def compare_reports(old: Path, new: Path) -> BenchComparison:
    """Compare two reports that `vsrc bench --json` wrote.

    Raises:
        SpecError: One of them is no latency report of this version.
    """
    before, after = _report(old), _report(new)
    changes = (*_sampled(before, after), *_single(before, after))
    return BenchComparison(str(old), str(new), changes, tuple(_notes(before, after)))


def check_no_regression(found: BenchComparison) -> None:
    """Raise if something has become worse.

    Raises:
        GateError: Names each metric and by how much.
    """
    if found.worse:
        words = [f"{one.metric} is {abs(one.change or 0):.1%} worse" for one in found.worse]
        raise GateError(f"{found.new} against {found.old}: {'; '.join(words)}")


def comparison_rows(found: BenchComparison) -> list[tuple[str, ...]]:
    """A row of cells for each metric, in the order of `COLUMNS`; a dash where unknown."""
    return [
        (
            one.metric,
            _number(one.old),
            _number(one.new),
            "-" if one.change is None else f"{one.change:+.1%}",
            "-" if one.interval is None else f"{one.interval.low:+.1%} to {one.interval.high:+.1%}",
            one.verdict,
        )
        for one in found.changes
    ]


def comparison_text(found: BenchComparison) -> str:
    """A line for each metric."""
    rows = [COLUMNS, *comparison_rows(found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *cells, verdict in rows:
        middle = [cell.rjust(width) for cell, width in zip(cells, widths[1:-1], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *middle, verdict]).rstrip())
    return "\n".join([*lines, *(f"Note: {note}" for note in found.notes)])


def comparison_to_text(found: BenchComparison) -> str:
    """Its JSON."""
    head = {"kind": f"{KIND}-comparison", "schema_version": SCHEMA_VERSION}
    return json.dumps({**head, **to_json(found)}, indent=2, allow_nan=False) + "\n"


def _sampled(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
    runs = [
        split_runs(report["samples_ms"], report.get("samples_per_run", ()))
        for report in (before, after)
    ]
    wholes = [np.concatenate(run) for run in runs]
    for metric, (statistic, percent) in _FROM_SAMPLES.items():
        enough = [len(whole) >= samples_needed(percent) for whole in wholes]
        old, new = (
            statistic(whole) if ok else None for whole, ok in zip(wholes, enough, strict=True)
        )
        yield _change(metric, old, new, _interval(runs, statistic) if all(enough) else None)
    yield _throughput(before, after, runs)


def _throughput(
    before: dict[str, Any], after: dict[str, Any], runs: Sequence[Sequence[Sequence[float]]]
) -> Change:
    """More is better; its noise is that of the mean latency."""
    old, new = (_value(report, "throughput_fps") for report in (before, after))
    ends = _interval(runs[::-1], mean)  # old over new: throughput is the inverse
    return _change("throughput_fps", old, new, ends)


def _interval(
    runs: Sequence[Sequence[Sequence[float]]], statistic: Callable[[Floats], float]
) -> Interval | None:
    """Interval of the change from the first to the second."""
    drawn = [resampled(run, statistic, seed=seed) for seed, run in enumerate(runs)]
    first, second = drawn
    if first is None or second is None:
        return None
    values = [statistic(np.concatenate(run)) for run in runs]
    if values[0] <= 0 or first.min() <= 0:
        return None
    blocks = min(block_count(run) for run in runs)
    return widened(values[1] / values[0] - 1, second / first - 1, blocks=blocks)


def _single(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
    for metric, least in _SINGLE.items():
        old, new = _value(before, metric), _value(after, metric)
        if old is None and new is None:
            continue
        found = _change(metric, old, new, None)
        if least is None or found.change is None:
            yield found
            continue
        verdict: Verdict = "no difference"
        if abs(found.change) > least:
            verdict = "worse" if found.change > 0 else "better"
        yield Change(metric, old, new, found.change, None, verdict)


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
            words = [" ".join(map(str, values)) for values in (old, new)]
            yield f"{what} differs: {words[0]}, then {words[1]}"
    for which, report in (("old", before), ("new", after)):
        load, cores = _value(report, "machine.load_average"), _value(report, "machine.cores")
        if load is not None and cores and load > LOADED * cores:
            yield f"other work was running during {which} (load average {load:.1f})"
    if max(len(report.get("samples_per_run", [0])) for report in (before, after)) < LEAST_RUNS:
        yield "each was measured in one process, so what differs between processes is not known"


def _report(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SpecError(f"{path}: not readable as a latency report: {error}") from error
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise SpecError(f"{path}: no latency report; write one with vsrc bench --json {path}")
    if data.get("schema_version") != SCHEMA_VERSION:
        raise SpecError(
            f"{path}: schema version {data.get('schema_version')}, this vsrc reads {SCHEMA_VERSION}"
        )
    samples = data.get("samples_ms")
    numbers = isinstance(samples, list) and all(
        isinstance(one, (int, float)) and one >= 0 for one in samples
    )
    if not samples or not numbers:
        raise SpecError(f"{path}: samples_ms must be a list of durations")
    lengths = data.get("samples_per_run", [len(samples)])
    if not isinstance(lengths, list) or sum(lengths) != len(samples) or min(lengths) < 1:
        raise SpecError(f"{path}: samples_per_run does not add up to the samples")
    return data


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
