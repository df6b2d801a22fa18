"""Latency reports as an HTML page: figures, charts and tables in one printable file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from vsrc.runtime.latency.model_names import model_names, with_network
from vsrc.runtime.latency.regression import COLUMNS as COMPARED
from vsrc.runtime.latency.regression import LEAST_CHANGE, BenchComparison, comparison_rows
from vsrc.runtime.latency.report import BenchReport
from vsrc.runtime.latency.sections import Stages
from vsrc.runtime.latency.table import COLUMNS, median_ms, on_front, table_rows
from vsrc.runtime.latency.text import SOAK_WORDS, latency_cells, report_notes
from vsrc.runtime.report.before_after import Table
from vsrc.runtime.report.chart import (
    Bar,
    Dot,
    Line,
    histogram,
    line_chart,
    number,
    scatter,
    waterfall,
)
from vsrc.runtime.report.page_parts import (
    Chart,
    Figure,
    Group,
    Note,
    device_charts,
    unknown_table,
    when,
)
from vsrc.runtime.report.template import Badge, write_page
from vsrc.runtime.shipped_models import typed_name
from vsrc.runtime.text.count_text import count_text
from vsrc.runtime.text.size_text import format_shape

STAGE_NAMES = ("decode", "upload", "pre", "network", "post", "download", "encode")
COMPARED_NOTE = (
    f"A change is judged only if its interval excludes zero and it exceeds {LEAST_CHANGE:.0%}."
)
_BAD = ("Gate", "Warning")


def write_bench_page(path: Path, reports: Sequence[BenchReport]) -> Path:
    """Write a page of one or several latency reports; replaces an existing file.

    Raises:
        MissingDependencyError: jinja2 is missing.
    """
    first = reports[0]
    feed, machine = first.feed, first.machine
    names = model_names(reports)
    title = f"Latency of {', '.join(dict.fromkeys(names))}"
    runs = list(dict.fromkeys(report.subject.graph_words for report in reports))
    summary = (
        f"{', '.join(runs)}. LR frames of {format_shape(feed.height_px, feed.width_px)}. "
        f"Measured {when(first.started_utc)}."
    )
    several = len(reports) > 1
    groups = [_overview(reports, names)] if several else []
    named = list(zip(reports, names, strict=True))
    groups += [report_group(report, name=name if several else "") for report, name in named]
    notes = [note for report, name in named for note in _notes(report, name if several else "")]
    head = {"title": title, "badge": _badge(reports, names), "summary": summary}
    values = {**head, "machine": str(machine), "notes": notes, "groups": groups}
    return write_page(path, "bench.html", values)


def write_comparison_page(path: Path, comparison: BenchComparison) -> Path:
    """Write a page of a comparison of two reports; replaces an existing file.

    Raises:
        MissingDependencyError: jinja2 is missing.
    """
    table = Table("Metrics", COMPARED, tuple(comparison_rows(comparison)), COMPARED_NOTE)
    worse = [Note(f"{change.metric} is worse", bad=True) for change in comparison.worse]
    values = {
        "title": f"Latency of {Path(comparison.new).name} against {Path(comparison.old).name}",
        "badge": _comparison_badge(comparison),
        "summary": f"Old: {comparison.old_subject}. New: {comparison.new_subject}.",
        "notes": [*worse, *(Note(words) for words in comparison.notes)],
        "groups": [Group(tables=(table,))],
    }
    return write_page(path, "bench.html", values)


def _comparison_badge(comparison: BenchComparison) -> Badge:
    if comparison.worse:
        return Badge(comparison.result, "bad")
    is_better = any(change.verdict == "better" for change in comparison.changes)
    return Badge(comparison.result, "good" if is_better else "plain")


def _badge(reports: Sequence[BenchReport], names: Sequence[str]) -> Badge:
    """Whether the gates were kept; without gates the median latency."""
    gates = [gate for report in reports for gate in report.gates]
    if missed := [gate for gate in gates if not gate.passed]:
        return Badge(f"{len(missed)} of {len(gates)} limits missed", "bad")
    if gates:
        return Badge("limit met" if len(gates) == 1 else f"all {len(gates)} limits met", "good")
    fastest, name = min(zip(reports, names, strict=True), key=lambda pair: median_ms(pair[0]))
    if len(reports) == 1:
        return Badge(f"{number(median_ms(fastest))} ms per frame")
    return Badge(f"fastest: {_dot_label(fastest, name)}, {number(median_ms(fastest))} ms per frame")


def report_group(report: BenchReport, *, name: str = "") -> Group:
    """Build the section of a page for one report; with a name it has a title."""
    subject = report.subject
    return Group(
        title=f"{with_network(name, report)} on {subject.graph_words}" if name else "",
        figures=tuple(_figures(report)),
        charts=tuple(chart for chart in _charts(report) if chart.svg),
        tables=tuple(_tables(report)),
    )


def _notes(report: BenchReport, name: str) -> Iterator[Note]:
    for kind, words in report_notes(report):
        label = f"{name}: " if name else ""
        bad = kind in _BAD and not ("Gate" in kind and ": met" in words)
        yield Note(f"{label}{kind}: {words}", bad)


def _overview(reports: Sequence[BenchReport], names: Sequence[str]) -> Group:
    table = Table("Side by side", COLUMNS, tuple(table_rows(reports)))
    dots = [
        Dot(_dot_label(report, name), median_ms(report), report.subject.quality_db, is_on)
        for report, name, is_on in zip(reports, names, on_front(reports), strict=True)
        if report.subject.quality_db is not None
    ]
    if not dots:
        return Group(tables=(table,))
    title = "Quality against latency"
    svg = scatter(dots, name=title, x_label="median latency, ms", y_label="PSNR of luma, dB")
    note = "Filled: no other is both faster and better. dB as recorded in each package."
    return Group(tables=(table,), charts=(Chart(title, svg, note=note),))


def _dot_label(report: BenchReport, name: str) -> str:
    return f"{name} {report.subject.precision or ''}".strip()


def _figures(report: BenchReport) -> Iterator[Figure]:
    ends, fps = report.intervals.p50_ms, report.intervals.throughput_fps
    yield Figure(
        "Median latency",
        f"{number(median_ms(report))} ms",
        f"95 %: {number(ends.low)} to {number(ends.high)}" if ends else "",
    )
    p99 = report.latency_ms.p99
    detail = report.null_reasons.get("latency_ms.p99", "")
    yield Figure("99 % are faster than", "-" if p99 is None else f"{number(p99)} ms", detail)
    yield Figure(
        "Throughput",
        f"{report.throughput_fps:.4g} frames/s",
        f"95 %: {number(fps.low)} to {number(fps.high)}" if fps else "",
    )
    yield from _over_time_figures(report)
    peak = report.memory.peak_bytes
    yield Figure("Peak memory", "-" if peak is None else f"{peak / 1e6:.0f} MB")
    joule = report.power.joule_per_frame
    words = f"{report.power.source}, without idle" if joule is not None else "no sensor to read"
    yield Figure("Energy", "-" if joule is None else f"{joule:.3g} J per frame", words)
    share, rates = report.arithmetic.matmul_share, report.backend_rates
    if share is not None:
        backend = report.subject.session.split()[0]
        detail = f"{rates.arithmetic} matrix products measured here, by {backend}"
        yield Figure("Compute utilisation", f"{share:.0%}", detail)
    copied, rate = report.arithmetic.copy_share, rates.copy_gb_per_s
    if copied is not None and rate is not None:
        detail = f"frames in and out, of {number(rate)} GB/s measured here"
        yield Figure("Memory bandwidth utilisation", f"{copied:.1%}", detail)


def _over_time_figures(report: BenchReport) -> Iterator[Figure]:
    """Yield the figures of a stream and of a soak, if requested."""
    stream, soak = report.stream, report.soak
    if stream.fps is not None and stream.deadline_miss_share is not None:
        detail = f"{stream.deadline_misses} took longer than {number(stream.deadline_ms or 0)} ms"
        yield Figure(
            f"Late at {stream.fps:g} frames/s", f"{stream.deadline_miss_share:.1%}", detail
        )
    if soak is not None:
        heat = SOAK_WORDS[soak.settled]
        if soak.first_minute_fps is None or soak.last_minute_fps is None:
            yield Figure("Soak", f"{soak.minutes_run:.1f} minutes", heat)
            return
        words = f"the first {number(soak.first_minute_fps)}; {soak.minutes_run:.1f} minutes, {heat}"
        yield Figure("Last minute", f"{number(soak.last_minute_fps)} frames/s", words)


def _charts(report: BenchReport) -> Iterator[Chart]:
    latency, samples = report.latency_ms, report.samples_ms
    marks = {"p50": latency.p50, "p95": latency.p95, "p99": latency.p99}
    yield Chart(
        "Distribution",
        histogram(
            samples,
            name="Histogram of latency",
            x_label="latency, ms",
            marks={name: value for name, value in marks.items() if value is not None},
        ),
        note=f"{len(samples)} samples" + (", the slowest 0.5 % cut off" * (len(samples) >= 200)),
    )
    ends, runs = [ms / 1000 for ms in accumulate(samples)], len(report.samples_per_run)
    yield Chart(
        "Over time",
        line_chart(
            [Line("latency", ends, samples)],
            name="Latency over time",
            x_label="seconds",
            y_label="latency, ms",
        ),
        note=f"{runs} processes, one after the other" if runs > 1 else "",
    )
    yield Chart("Stages", _stages_chart(report.stages), note="Medians, each stage timed alone.")
    yield from device_charts(report.device.readings)


def _stages_chart(stages: Stages) -> str:
    bars, at = [], 0.0
    for name in STAGE_NAMES:
        part = getattr(stages, f"{name}_ms")
        if part is None:
            continue
        value = part.mean if part.p50 is None else part.p50
        bars.append(Bar(name, at, at + value, f"{number(value)} ms"))
        at += value
    return waterfall(bars, name="Stages of a frame", x_label="ms") if bars else ""


def _tables(report: BenchReport) -> Iterator[Table]:
    cells = latency_cells(report)
    names, values = zip(*cells, strict=True)
    yield Table("Latency, ms", ("", *names), (("frame", *values), *_stage_rows(report)))
    yield Table("What was measured", ("", ""), tuple(_facts(report)), words=True)
    if report.null_reasons:
        yield unknown_table(report.null_reasons)


def _stage_rows(report: BenchReport) -> Iterator[tuple[str, ...]]:
    for name in STAGE_NAMES:
        if (part := getattr(report.stages, f"{name}_ms")) is not None:
            yield (name, *(value for _, value in latency_cells(report, part)))


def _facts(report: BenchReport) -> Iterator[tuple[str, str]]:
    subject, startup = report.subject, report.startup
    yield "model", typed_name(Path(subject.model))
    yield "graph", subject.graph_sha256[:16]
    yield "runs on", f"{subject.session}, {count_text(subject.threads, 'thread')}"
    if subject.parameters is not None:
        yield (
            "size",
            f"{subject.parameters:,} parameters, {subject.gmac_per_frame:.3g} GMAC per frame",
        )
    if report.jitter_ms is not None:
        yield "jitter", f"{number(report.jitter_ms)} ms from one frame to the next"
    if report.stream.lookahead_ms is not None:
        ahead = f"{number(report.stream.lookahead_ms)} ms, on any device"
        frames = count_text(subject.lookahead_frames or 0, "frame")
        yield "look-ahead", f"{ahead}: {frames} must come first"
    yield "model load", f"{number(startup.load_ms)} ms"
    yield "first inference", f"{number(startup.first_inference_ms)} ms"
    if report.stages.end_to_end_fps is not None:
        yield "end to end", f"{number(report.stages.end_to_end_fps)} frames/s from file to file"
    yield from report.device.facts.items()
    yield "versions", ", ".join(f"{name} {text}" for name, text in subject.versions.items())
