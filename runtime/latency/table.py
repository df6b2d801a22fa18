"""Several latency reports as one text table, and their Pareto front."""

from __future__ import annotations

from collections.abc import Sequence

from vsrc.runtime.latency.model_names import model_names, with_network
from vsrc.runtime.latency.report import BenchReport
from vsrc.runtime.text.size_text import format_shape

COLUMNS = (
    "model",
    "precision",
    "backend",
    "params",
    "GMAC",
    "p50 ms",
    "p99 ms",
    "fps",
    "dB",
    "J/frame",
)


def table_rows(reports: Sequence[BenchReport]) -> list[tuple[str, ...]]:
    """Format a row of cells for each report, in the order of `COLUMNS`; a dash where unknown."""
    return [
        _cells(report, name) for report, name in zip(reports, model_names(reports), strict=True)
    ]


def table_text(reports: Sequence[BenchReport]) -> str:
    """Format the table, with the common conditions above and the Pareto front below."""
    feed, machine = reports[0].feed, reports[0].machine
    head = (
        f"LR {format_shape(feed.height_px, feed.width_px)}, {machine.cpu or machine.architecture}"
    )
    rows = [COLUMNS, *table_rows(reports)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if index < 3 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([head, "", *lines, "", *_front_lines(reports), *_quality_notes(reports)])


def on_front(reports: Sequence[BenchReport]) -> list[bool]:
    """For each report, whether no other is both faster and better; False if quality is unknown.

    Only reports whose quality was measured on the same data are compared.
    """
    return [
        report.subject.quality_db is not None
        and not any(_dominates(other, report) for other in reports)
        for report in reports
    ]


def median_ms(report: BenchReport) -> float:
    """Median latency, ms; the sample itself if there is only one."""
    return report.latency_ms.mean if report.latency_ms.p50 is None else report.latency_ms.p50


def _dominates(report: BenchReport, other: BenchReport) -> bool:
    ours, theirs = report.subject, other.subject
    if ours.quality_db is None or theirs.quality_db is None:
        return False
    if ours.quality_data != theirs.quality_data:
        return False
    faster, better = median_ms(report) - median_ms(other), theirs.quality_db - ours.quality_db
    return faster <= 0 and better <= 0 and (faster < 0 or better < 0)


def _front_lines(reports: Sequence[BenchReport]) -> list[str]:
    front = [
        f"{name} {report.subject.precision}"
        for report, name, is_on in zip(
            reports, model_names(reports), on_front(reports), strict=True
        )
        if is_on
    ]
    return [f"Pareto-optimal in latency and dB: {', '.join(front)}."] if front else []


def _quality_notes(reports: Sequence[BenchReport]) -> list[str]:
    data = {report.subject.quality_data for report in reports if report.subject.quality_data}
    if not data:
        return []
    words = "dB: PSNR of luma as recorded in each package, on "
    notes = [f"{words}{' and on '.join(sorted(data))}."]
    reduced = {report.subject.precision for report in reports} - {"fp32", None}
    if reduced:
        notes.append(f"Packages do not record the graph of their dB: it may not be {_or(reduced)}.")
    if len(data) > 1:
        notes.append("Not all were measured on the same data: their dB are not comparable.")
    return notes


def _or(names: set[str | None]) -> str:
    return " or ".join(sorted(filter(None, names)))


def _cells(report: BenchReport, name: str) -> tuple[str, ...]:
    subject, latency = report.subject, report.latency_ms
    joule = report.power.joule_per_frame
    return (
        with_network(name, report),
        subject.precision or "-",
        f"{subject.session.split()[0]}, {subject.threads} thr",
        "-" if subject.parameters is None else f"{subject.parameters:,}",
        "-" if subject.gmac_per_frame is None else f"{subject.gmac_per_frame:.3g}",
        f"{median_ms(report):.4g}",
        "-" if latency.p99 is None else f"{latency.p99:.4g}",
        f"{report.throughput_fps:,.0f}"
        if report.throughput_fps >= 1000
        else f"{report.throughput_fps:.4g}",
        "-" if subject.quality_db is None else f"{subject.quality_db:.2f}",
        "-" if joule is None else f"{joule:.3g}",
    )
