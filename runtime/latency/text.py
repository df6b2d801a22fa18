"""The latency report as plain text, at most 80 columns."""

from __future__ import annotations

import textwrap

from vsrc.runtime.backends.graph_in_use import is_on_cores
from vsrc.runtime.latency.contention import BUSY_SHARE, LOADED, overall_share
from vsrc.runtime.latency.measurement import split_runs
from vsrc.runtime.latency.model_names import model_name, with_network
from vsrc.runtime.latency.report import BenchReport
from vsrc.runtime.report.distribution import Distribution
from vsrc.runtime.report.interval import Interval
from vsrc.runtime.text.count_text import count_text
from vsrc.runtime.text.size_text import format_shape

WIDTH = 80
SOAK_WORDS = {None: "temperature unknown", True: "settled", False: "temperature not settled"}
"""Whether the temperature has settled -> text."""
_LABEL_WIDTH = 17


def bench_text(report: BenchReport) -> str:
    """Format the report in about a dozen lines."""
    rows = [*_speed_rows(report), *_cost_rows(report), *report_notes(report)]
    return "\n".join([*_title_lines(report), "", *_latency_table(report), "", *map(_row, rows)])


def latency_cells(
    report: BenchReport, latency: Distribution | None = None
) -> list[tuple[str, str]]:
    """Column heading and value (ms) of each number of the distribution; a dash where unknown.

    Args:
        report: The report.
        latency: Distribution of a stage; None for that of the whole network.
    """
    whole = report.latency_ms
    latency = latency or whole
    cells = {
        "min": latency.min,
        "p50": latency.p50,
        "p90": latency.p90,
        "p95": latency.p95,
        "p99": latency.p99,
        **({} if whole.p99_9 is None else {"p99.9": latency.p99_9}),
        "max": latency.max,
        "mean": latency.mean,
        "std": latency.std,
    }
    return [(name, "-" if value is None else _ms(value)) for name, value in cells.items()]


def _title_lines(report: BenchReport) -> list[str]:
    subject, feed = report.subject, report.feed
    named = with_network(model_name(report), report)
    threads = count_text(subject.threads, "thread")
    if subject.scale is None or subject.window_frames is None:
        size = format_shape(feed.height_px, feed.width_px)
        return [f"{named} on {subject.graph_words}, {threads}", size]
    sr_height, sr_width = feed.height_px * subject.scale, feed.width_px * subject.scale
    return [
        f"{named} on {subject.graph_words}, {threads}",
        f"{feed.height_px}x{feed.width_px} to {format_shape(sr_height, sr_width)}, "
        f"window {subject.window_frames}, {subject.parameters:,} parameters, "
        f"{subject.gmac_per_frame:.3g} GMAC per frame",
    ]


def _latency_table(report: BenchReport) -> list[str]:
    cells = latency_cells(report)
    widths = [max(len(name), len(value), 6) for name, value in cells]
    names = "  ".join(name.rjust(width) for (name, _), width in zip(cells, widths, strict=True))
    values = "  ".join(value.rjust(width) for (_, value), width in zip(cells, widths, strict=True))
    taken = f"Latency in ms per frame, {count_text(report.latency_ms.count, 'sample')}"
    runs = len(report.samples_per_run)
    warm = f" after {len(report.warmup.samples_ms) + runs} of warm-up"
    where = f", {runs} processes" if runs > 1 else ""
    return [taken + warm + where, "", f"  {names}", f"  {values}"]


def _speed_rows(report: BenchReport) -> list[tuple[str, str]]:
    startup = report.startup
    rows = [
        ("Median", _format_with_interval(report.latency_ms.p50, report.intervals.p50_ms, "ms")),
        (
            "Throughput",
            _format_with_interval(
                report.throughput_fps, report.intervals.throughput_fps, "frames/s"
            ),
        ),
        ("Jitter", _optional(report.jitter_ms)),
        *_stream_rows(report),
        ("First inference", f"{_ms(startup.first_inference_ms)} ms"),
        ("Model load", f"{_ms(startup.load_ms)} ms (imports: {_ms(startup.import_ms)} ms)"),
        ("Engine build", _optional(startup.engine_build_ms)),
        *_stage_rows(report),
        *_soak_rows(report),
    ]
    return [row for row in rows if row[1] != "-"]


def _optional(value_ms: float | None) -> str:
    return "-" if value_ms is None else f"{_ms(value_ms)} ms"


def _format_with_interval(value: float | None, interval: Interval | None, unit: str) -> str:
    if value is None:
        return "-"
    if interval is None:
        return f"{_ms(value)} {unit}"
    return f"{_ms(value)} {unit}, 95 % interval {_ms(interval.low)} to {_ms(interval.high)}"


def _stream_rows(report: BenchReport) -> list[tuple[str, str]]:
    stream = report.stream
    if stream.deadline_ms is None or stream.deadline_miss_share is None:
        return []
    missed = (
        f"{stream.deadline_misses} of {report.latency_ms.count} frames "
        f"({stream.deadline_miss_share:.1%}) took longer than {_ms(stream.deadline_ms)} ms"
    )
    rows = [(f"At {stream.fps:g} frames/s", missed)]
    if stream.lookahead_ms is not None:
        frames = count_text(report.subject.lookahead_frames or 0, "frame")
        rows.append(("Look-ahead", f"{_ms(stream.lookahead_ms)} ms: {frames} must come first"))
    return rows


def _stage_rows(report: BenchReport) -> list[tuple[str, str]]:
    stages = report.stages
    parts = {
        "decode": stages.decode_ms,
        "upload": stages.upload_ms,
        "enqueue": stages.enqueue_ms,
        "pre": stages.pre_ms,
        "network": stages.network_ms,
        "post": stages.post_ms,
        "download": stages.download_ms,
        "encode": stages.encode_ms,
    }
    measured = [f"{name} {_ms(part.p50 or part.mean)}" for name, part in parts.items() if part]
    rows = [("Stages", ", ".join(measured) + " ms (median, each alone)")] if measured else []
    if stages.end_to_end_fps is not None and stages.first_frame_ms is not None:
        words = f"{_ms(stages.end_to_end_fps)} frames/s from file to file, the first after "
        rows.append(("End to end", f"{words}{_ms(stages.first_frame_ms)} ms"))
    return rows


def _soak_rows(report: BenchReport) -> list[tuple[str, str]]:
    soak = report.soak
    if soak is None:
        return []
    words = f"{soak.minutes_run:.1f} minutes, {SOAK_WORDS[soak.settled]}"
    if soak.first_minute_fps is not None and soak.last_minute_fps is not None:
        words += (
            f"; first minute {_ms(soak.first_minute_fps)} frames/s, "
            f"last {_ms(soak.last_minute_fps)}"
        )
    return [("Soak", words)]


def _cost_rows(report: BenchReport) -> list[tuple[str, str]]:
    memory, machine, device = report.memory, report.machine, report.device.facts
    total = machine.memory_bytes
    facts = [
        machine.cpu or machine.architecture,
        count_text(machine.cores, "core"),
        "memory unknown" if total is None else f"{total / 1e9:.0f} GB",
    ]
    peak = f"{_mb(memory.peak_bytes)}, {_mb(memory.before_load_bytes)} of it before loading"
    return [
        *_arithmetic_rows(report),
        ("Peak memory", peak),
        ("Power", _power_words(report)),
        ("Machine", ", ".join(facts)),
        *([("Device", "; ".join(f"{k}: {v}" for k, v in device.items()))] if device else []),
    ]


def _arithmetic_rows(report: BenchReport) -> list[tuple[str, str]]:
    arithmetic, rates = report.arithmetic, report.backend_rates
    backend = report.subject.session.split()[0]
    moved = f"{arithmetic.frames_gb_per_s:.2g} GB/s in and out"
    if arithmetic.copy_share is not None and rates.copy_gb_per_s is not None:
        where = "main memory is" if is_on_cores(backend) else f"the memory of {backend} is"
        moved += f", {arithmetic.copy_share:.1%} of the {_ms(rates.copy_gb_per_s)} GB/s at which "
        moved += f"{where} copied"
    rows = [("Frames", moved)]
    if arithmetic.gflop_per_s is None:
        return rows
    unit = "GFLOP/s" if "float" in (rates.arithmetic or "float") else "GOP/s"
    words = f"{arithmetic.gflop_per_s:.1f} {unit}"
    if arithmetic.matmul_share is not None:
        words += (
            f", {arithmetic.matmul_share:.0%} of the {rates.matmul_gop_per_s:.0f} {unit} at which "
            f"{backend} multiplies matrices in {rates.arithmetic}"
        )
    return [("Arithmetic", words), *rows]


def _power_words(report: BenchReport) -> str:
    power = report.power
    if power.joule_per_frame is None or power.busy_w is None or power.idle_w is None:
        return f"unknown ({report.null_reasons.get('power.busy_w', 'no reading')})"
    return (
        f"{power.joule_per_frame:.3g} J per frame ({power.source}: {power.busy_w:.1f} W, idle "
        f"{power.idle_w:.1f} W)"
    )


def report_notes(report: BenchReport) -> list[tuple[str, str]]:
    """Collect warnings and notes that affect how the numbers are to be read."""
    notes = [("Gate", str(gate)) for gate in report.gates]
    if report.warmup.steady is False:
        notes.append(("Warning", "latency drifted throughout: heat, changing clocks or other work"))
    if words := _other_work(report):
        notes.append(("Warning", words))
    for cause, times in (report.device.throttle_events or {}).items():
        if times:
            notes.append(
                ("Warning", f"clocks were throttled: {cause}, {count_text(times, 'time')}")
            )
    dashes = [name for name, value in latency_cells(report) if value == "-"]
    if dashes:
        count = count_text(report.latency_ms.count, "sample")
        notes.append(("Note", f"{count}: too few for {', '.join(dashes)}; add --seconds"))
    return notes


def _other_work(report: BenchReport) -> str:
    """Describe the load of other processes; empty if negligible."""
    load, shares = report.machine.load_average, report.taken_share_per_run
    if shares is None:
        if load is None or load <= max(0.5, LOADED * report.machine.cores):
            return ""
        return f"other work was running (load average {load:.1f}); an idle machine is faster"
    share = overall_share(split_runs(report.samples_ms, report.samples_per_run), shares)
    if share <= BUSY_SHARE:
        return ""
    alone_ms = report.latency_ms.mean * (1 - share)
    words = f"other work took up to {share:.0%} of the time; on an idle machine a frame may take "
    reach = ", which the intervals include" if report.intervals.mean_ms else ""
    return f"{words}{_ms(alone_ms)} ms in the mean{reach}"


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
    """Format with three significant digits, or all digits of the integer part if more."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}" if value >= 0.01 else f"{value:.1g}"


def _mb(size_bytes: int | None) -> str:
    return "unknown" if size_bytes is None else f"{size_bytes / 1e6:.0f} MB"
