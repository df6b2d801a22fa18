"""The latency report for people: plain text, at most 80 columns, the same in a pipe."""

from __future__ import annotations

import textwrap

from vsrc.runtime.bench_report import BenchReport

WIDTH = 80
_LABEL_WIDTH = 17


def bench_text(report: BenchReport) -> str:
    """The report in a dozen lines."""
    rows = [*_speed_rows(report), *_cost_rows(report), *_notes(report)]
    return "\n".join([*_heading(report), "", *_latency_table(report), "", *map(_row, rows)])


def latency_cells(report: BenchReport) -> list[tuple[str, str]]:
    """Column heading and value of each number of the distribution, ms; a dash where unknown."""
    latency = report.latency_ms
    cells = {
        "min": latency.min,
        "p50": latency.p50,
        "p90": latency.p90,
        "p95": latency.p95,
        "p99": latency.p99,
        "max": latency.max,
        "mean": latency.mean,
        "std": latency.std,
    }
    return [(name, "-" if value is None else _ms(value)) for name, value in cells.items()]


def _heading(report: BenchReport) -> list[str]:
    subject, feed = report.subject, report.feed
    sr_height, sr_width = feed.height_px * subject.scale, feed.width_px * subject.scale
    threads = _count(subject.threads, "thread")
    return [
        f"{subject.network} x{subject.scale} on {subject.session}, {threads}",
        f"{feed.width_px}x{feed.height_px} to {sr_width}x{sr_height}, "
        f"{_count(subject.window_frames, 'frame')} at once, {subject.parameters:,} parameters, "
        f"{subject.gmac_per_frame:.3g} GMAC a frame",
    ]


def _latency_table(report: BenchReport) -> list[str]:
    cells = latency_cells(report)
    widths = [max(len(name), len(value), 6) for name, value in cells]
    names = "  ".join(name.rjust(width) for (name, _), width in zip(cells, widths, strict=True))
    values = "  ".join(value.rjust(width) for (_, value), width in zip(cells, widths, strict=True))
    taken = f"Latency in ms a frame, {_count(report.latency_ms.count, 'sample')}"
    warm = f" after {len(report.warmup.samples_ms) + 1} of warm-up"
    return [taken + warm, "", f"  {names}", f"  {values}"]


def _speed_rows(report: BenchReport) -> list[tuple[str, str]]:
    startup, arithmetic, rates = report.startup, report.arithmetic, report.rates
    return [
        ("Throughput", f"{report.throughput_fps:.1f} frames/s"),
        ("First inference", f"{_ms(startup.first_inference_ms)} ms"),
        ("Model load", f"{_ms(startup.load_ms)} ms (imports: {_ms(startup.import_ms)} ms)"),
        (
            "Arithmetic",
            f"{arithmetic.gflop_per_s:.1f} GFLOP/s, {arithmetic.matmul_share:.0%} of the "
            f"{rates.matmul_gflop_per_s:.0f} GFLOP/s at which this machine multiplies matrices",
        ),
    ]


def _cost_rows(report: BenchReport) -> list[tuple[str, str]]:
    memory, machine = report.memory, report.machine
    total = machine.memory_bytes
    facts = [
        machine.cpu or machine.architecture,
        _count(machine.cores, "core"),
        "memory unknown" if total is None else f"{total / 1e9:.0f} GB",
        f"copies {report.rates.copy_gb_per_s:.0f} GB/s",
    ]
    peak = f"{_mb(memory.peak_bytes)}, {_mb(memory.before_load_bytes)} of it before loading"
    return [("Peak memory", peak), ("Machine", ", ".join(facts))]


def _notes(report: BenchReport) -> list[tuple[str, str]]:
    """What a reader must know before believing the numbers."""
    notes = [("Gate", str(gate)) for gate in report.gates]
    load = report.machine.load_average
    if report.warmup.steady is False:
        notes.append(("Warning", "latency kept drifting: heat, changing clocks or other work"))
    if load is not None and load > max(0.5, 0.25 * report.machine.cores):
        words = f"other work was running (load average {load:.1f}); alone it is faster"
        notes.append(("Warning", words))
    dashes = [name for name, value in latency_cells(report) if value == "-"]
    if dashes:
        count = _count(report.latency_ms.count, "sample")
        notes.append(("Note", f"{count} cannot tell {', '.join(dashes)}; add --seconds"))
    return notes


def _row(row: tuple[str, str]) -> str:
    label, value = row
    return textwrap.fill(
        value,
        WIDTH,
        initial_indent=label.ljust(_LABEL_WIDTH),
        subsequent_indent=" " * _LABEL_WIDTH,
        break_on_hyphens=False,
    )


def _ms(value: float) -> str:
    """Three significant digits, and never fewer than the integer part has."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}" if value >= 0.01 else f"{value:.1g}"


def _mb(size_bytes: int | None) -> str:
    return "unknown" if size_bytes is None else f"{size_bytes / 1e6:.0f} MB"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
