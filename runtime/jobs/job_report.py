"""Time, memory and energy of a run of `vsrc infer`; `--report` writes it as JSON or HTML."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from math import ceil
from pathlib import Path
from statistics import fmean

from vsrc.runtime.backends.graph_in_use import GraphInUse
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.result import FileResult, InferProgress, InferResult
from vsrc.runtime.jobs.stage_clock import StageClock
from vsrc.runtime.machine import (
    Machine,
    machine_null_reasons,
    peak_memory_bytes,
    this_machine,
)
from vsrc.runtime.output_guard import hash_job, mark_report, report_output
from vsrc.runtime.pending_file import write_file
from vsrc.runtime.report.before_after import Table
from vsrc.runtime.report.chart import Bar, Line, line_chart, number, waterfall
from vsrc.runtime.report.distribution import PERCENTILES, Distribution, distribution, samples_needed
from vsrc.runtime.report.page_parts import (
    Chart,
    Figure,
    Group,
    Note,
    device_charts,
    unknown_table,
    when,
)
from vsrc.runtime.report.template import Badge, check_page_name, check_pages, write_page
from vsrc.runtime.schema import UtcTime, to_json
from vsrc.runtime.sensors.device_record import Device
from vsrc.runtime.sensors.power import mean_watts, throttle_events
from vsrc.runtime.sensors.telemetry import Telemetry, find_sensors
from vsrc.runtime.text.count_text import count_text

KIND = "vsrc-infer-report"
SCHEMA_VERSION = 2
_LEAST_GROUP = 16
_MOST_POINTS = 100
_THREADS = ("decode", "upscale", "encode")
_LANE_HEAD = ("windows in parallel", "threads", "windows/s")


@dataclass(frozen=True)
class JobStage:
    """One of the three threads of a run.

    Attributes:
        name: Name of the stage: decode, upscale or encode.
        latency_ms: Time per frame without waiting for the other threads, ms.
        busy_share: Share of the wall time that the thread worked; near 1 for the bottleneck.
        samples_ms: Time of each frame, in frame order, ms.
    """

    name: str
    latency_ms: Distribution
    busy_share: float
    samples_ms: tuple[float, ...]


@dataclass(frozen=True)
class JobReport:
    """Time, memory and energy of a run of `vsrc infer`.

    Attributes:
        graphs: Graphs that made the results, with their backends, in the order of first use.
        started_utc: Start time, ISO 8601, UTC.
        seconds: Wall time of the whole run.
        frames: Number of frames upscaled.
        fps: Throughput, frames/s: frames / seconds.
        recomputed_frames: Number of frames corrupted by reduced precision and recomputed in fp32.
        files: Result of each input.
        failed: Inputs that could not be upscaled.
        stages: Times of the three threads.
        peak_bytes: Peak main memory of the process; None where unknown.
        busy_w: Mean power, W; None where there is no sensor.
        joule_per_frame: Energy per frame, J: busy_w x seconds / frames, idle power included.
        device: Telemetry of the device.
        machine: Machine that it ran on.
        null_reasons: Dotted path of each field that is null -> why.
    """

    graphs: tuple[GraphInUse, ...]
    started_utc: UtcTime
    seconds: float
    frames: int
    fps: float
    recomputed_frames: int
    files: tuple[FileResult, ...]
    failed: tuple[str, ...]
    stages: tuple[JobStage, ...]
    peak_bytes: int | None
    busy_w: float | None
    joule_per_frame: float | None
    device: Device
    machine: Machine
    null_reasons: dict[str, str] = field(default_factory=dict)


def infer_with_report(
    config: InferConfig, path: Path, *, progress: Callable[[InferProgress], None] | None = None
) -> InferResult:
    """Upscale videos as `infer` does, and write a report.

    Args:
        config: Settings of the run.
        path: Path of the report; JSON for the suffix `.json`, else an HTML page.
        progress: Called for each frame.

    Raises:
        MissingDependencyError: A page is requested and jinja2 is missing; raised before the run.
        VsrcError: As `infer`; no report is written then.
    """
    job = hash_job("infer", replace(config, overwrite=False))
    is_page = path.suffix.lower() != ".json"
    if is_page:
        check_page_name(path, "--report", others=(".json",))
        check_pages(f"--report {path}")
    started, clock, telemetry = (
        datetime.now(timezone.utc),
        StageClock(),
        Telemetry(*find_sensors(device=config.device)),
    )
    telemetry.look()
    telemetry.start()
    try:
        reports = (report_output(path, "--report", job=job),)
        result = infer(config, progress=progress, clock=clock, reports=reports)
    finally:
        telemetry.stop()
    report = job_report(result, clock, telemetry, started=started)
    if is_page:
        write_job_page(path, report)
    else:
        write_file(path, job_report_to_text(report))
    mark_report(path, job)
    return result


def job_report(
    result: InferResult, clock: StageClock, telemetry: Telemetry, *, started: datetime
) -> JobReport:
    """Build the report of a finished run."""
    readings = tuple(telemetry.readings)
    seconds = readings[-1].seconds
    frames = sum(file.frames - file.kept_frames for file in result.files)
    watts = mean_watts(readings, telemetry.totals, [(0.0, seconds)])
    stages = tuple(
        JobStage(name, distribution(values), sum(values) / 1000 / seconds, tuple(values))
        for name in _THREADS
        if (values := clock.durations_ms.get(name))
    )
    machine, peak, events = this_machine(), peak_memory_bytes(), throttle_events(readings)
    silent = {
        "peak_bytes": (peak, "no VmHWM in /proc/self/status"),
        "busy_w": (watts, "this machine has no power sensor"),
        "joule_per_frame": (watts, "this machine has no power sensor"),
        "device.throttle_events": (events, "this machine does not count them"),
    }
    reasons = {path: why for path, (value, why) in silent.items() if value is None}
    reasons |= {
        f"files.{index}.lanes": f"{file.runs} does not compute windows in parallel on the CPU"
        for index, file in enumerate(result.files)
        if file.lanes is None
    }
    return JobReport(
        graphs=tuple(dict.fromkeys(file.graph for file in result.files)),
        started_utc=started.isoformat(timespec="seconds"),
        seconds=seconds,
        frames=frames,
        fps=frames / seconds,
        recomputed_frames=sum(file.recomputed_frames for file in result.files),
        files=result.files,
        failed=tuple(failure.input for failure in result.failures),
        stages=stages,
        peak_bytes=peak,
        busy_w=watts,
        joule_per_frame=watts * seconds / frames if watts is not None and frames else None,
        device=Device(telemetry.facts, telemetry.unreadable, 0.0, seconds, events, readings),
        machine=machine,
        null_reasons=reasons | machine_null_reasons(machine) | dict(_few(stages)),
    )


def job_report_to_text(report: JobReport) -> str:
    """Format a report as JSON."""
    head = {"kind": KIND, "schema_version": SCHEMA_VERSION}
    return json.dumps({**head, **to_json(report)}, indent=2, allow_nan=False) + "\n"


def write_job_page(path: Path, report: JobReport) -> Path:
    """Write an HTML page of a run; replaces an existing file.

    Raises:
        MissingDependencyError: jinja2 is missing.
    """
    values = {
        "title": _title(report),
        "badge": _badge(report),
        "summary": f"{_model_words(report)}Started {when(report.started_utc)}.",
        "machine": str(report.machine),
        "notes": [Note(f"{name} could not be upscaled", bad=True) for name in report.failed],
        "groups": [
            Group(
                figures=tuple(_figures(report)),
                charts=tuple(chart for chart in _charts(report) if chart.svg),
                tables=tuple(_tables(report)),
            )
        ],
    }
    return write_page(path, "bench.html", values)


def _title(report: JobReport) -> str:
    names = [Path(file.input).name for file in report.files]
    what = names[0] if len(names) == 1 else f"{len(names)} inputs"
    return f"Upscaling of {what}"


def _badge(report: JobReport) -> Badge:
    if report.failed:
        return Badge(f"{len(report.failed)} of the inputs failed", "bad")
    corrupted = sum(file.corrupted_frames for file in report.files)
    if corrupted:
        return Badge(f"black or white: {count_text(corrupted, 'frame')}", "bad")
    return Badge(f"{count_text(report.frames, 'frame')} at {report.fps:.3g} frames/s", "good")


def _model_words(report: JobReport) -> str:
    """A sentence on the models and graphs of the results; empty where there are none."""
    if not report.graphs:
        return ""
    models = ", ".join(dict.fromkeys(file.model for file in report.files))
    return f"{models} on {', '.join(map(str, report.graphs))}. "


def _few(stages: tuple[JobStage, ...]) -> Iterator[tuple[str, str]]:
    for index, stage in enumerate(stages):
        count = stage.latency_ms.count
        for name, percent in PERCENTILES.items():
            if getattr(stage.latency_ms, name) is None:
                needed = samples_needed(percent)
                words = f"needs {needed} samples; there are {count}"
                yield f"stages.{index}.latency_ms.{name}", words


def _figures(report: JobReport) -> Iterator[Figure]:
    yield Figure("Throughput", f"{report.fps:.4g} frames/s", f"{report.seconds:.1f} s in all")
    if report.recomputed_frames:
        yield Figure(
            "Recomputed in fp32",
            count_text(report.recomputed_frames, "frame"),
            "corrupted by reduced precision",
        )
    for stage in report.stages:
        # Not the median: several windows run at once, and all but the first return immediately.
        busy = f"mean; busy {stage.busy_share:.0%} of the time"
        value = f"{number(stage.latency_ms.mean)} ms"
        yield Figure(f"{stage.name.capitalize()}, per frame", value, busy)
    peak = report.peak_bytes
    yield Figure("Peak memory", "-" if peak is None else f"{peak / 1e6:.0f} MB")
    joule = report.joule_per_frame
    words = "no sensor to read" if joule is None else "idle included"
    yield Figure("Energy", "-" if joule is None else f"{joule:.3g} J per frame", words)


def _charts(report: JobReport) -> Iterator[Chart]:
    bars = []
    for stage in report.stages:
        mean = stage.latency_ms.mean
        bars.append(Bar(stage.name, 0.0, mean, f"{number(mean)} ms"))
    note = (
        "Mean time per frame of each thread without waiting; the slowest thread limits the speed."
    )
    yield Chart("Threads", waterfall(bars, name="Threads", x_label="ms per frame"), note=note)
    group = group_size(max((len(stage.samples_ms) for stage in report.stages), default=0))
    lines = [
        Line(stage.name, *mean_of_groups(stage.samples_ms, group))
        for stage in report.stages
        if len(stage.samples_ms) >= 2 * group  # one mean is no line
    ]
    if lines:
        svg = line_chart(lines, name="Threads over time", x_label="frame", y_label="ms per frame")
        note = f"Each point is the mean of {group} frames, because several are computed at once."
        yield Chart("Over time", svg, tuple(line.label for line in lines), note=note)
    yield from device_charts(report.device.readings)


def group_size(frames: int) -> int:
    """Number of frames of which a chart shows the mean: more than are ever computed at once."""
    return max(_LEAST_GROUP, ceil(frames / _MOST_POINTS))


def mean_of_groups(samples: Sequence[float], group: int) -> tuple[list[int], list[float]]:
    """Last frame number, from 1, and mean of each whole group of samples."""
    ends = list(range(group, len(samples) + 1, group))
    return ends, [fmean(samples[end - group : end]) for end in ends]


def _runs(file: FileResult) -> str:
    return f"{file.runs}, {file.lanes}" if file.lanes else file.runs


def _tables(report: JobReport) -> Iterator[Table]:
    rows = tuple(
        (
            file.input,
            str(file.frames),
            f"{file.fps:.1f}",
            f"{file.seconds:.1f}",
            file.model,
            _runs(file),
        )
        for file in report.files
    )
    yield Table("Inputs", ("", "frames", "frames/s", "seconds", "model", "backend"), rows)
    if tried := [rate for file in report.files if file.lanes for rate in file.lanes.rates]:
        rates = tuple(
            (str(rate.lanes), str(rate.threads), f"{rate.windows_per_s:.1f}") for rate in tried
        )
        yield Table("Windows in parallel, tried on the first frames", _LANE_HEAD, rates)
    if report.null_reasons:
        yield unknown_table(report.null_reasons)
