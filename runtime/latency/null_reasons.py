"""Why a field of a latency report is null."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from vsrc.runtime.backends.graph_in_use import is_on_cores
from vsrc.runtime.latency.config import BenchConfig
from vsrc.runtime.latency.measurement import Measurement
from vsrc.runtime.latency.warmup import LEAST_SAMPLES
from vsrc.runtime.machine import Machine, machine_null_reasons
from vsrc.runtime.report.distribution import PERCENTILES, samples_needed
from vsrc.runtime.report.interval import LEAST_RUNS

_FOREIGN = "the graph was not written by vsrc and has no such metadata"
_REASON_OF = {
    "end_to_end_fps": "end_to_end",
    "end_to_end_frames": "end_to_end",
    "first_frame": "end_to_end",
    "clock": "network",
}
"""Field of the stages -> stage whose reason applies to it."""
_ON_CPU = "the network runs in main memory: nothing is copied to a device"


def reasons_of(
    paths: Iterable[str], config: BenchConfig, measurement: Measurement, machine: Machine
) -> dict[str, str]:
    """Map the dotted path of each null field to the reason."""
    known = machine_null_reasons(machine)
    sections: dict[str, Callable[[str], str]] = {
        "subject": _subject,
        "startup": lambda _: _build(measurement),
        "latency_ms": lambda name: _few(name, len(measurement.series.steady_ms)),
        "jitter_ms": lambda _: _few("std", 1),
        "warmup": lambda _: _steady(measurement),
        "intervals": lambda name: _interval(name, measurement),
        "stream": lambda _: _FOREIGN if config.fps else "no --fps was given",
        "stages": lambda name: _stage(name, measurement),
        "memory": lambda _: "no VmHWM in /proc/self/status",
        "power": lambda _: _power(measurement),
        "arithmetic": lambda name: _arithmetic(name, measurement),
        "backend_rates": lambda name: measurement.backend_rates.missing[name],
        "soak": lambda name: _soak(name, measurement),
        "taken_share_per_run": lambda _: _why_no_contention(measurement),
        "device": lambda _: "this machine does not count them",
    }
    reasons = {}
    for path in paths:
        section, _, name = path.partition(".")
        reasons[path] = known[path] if path in known else sections[section](name)
    return reasons


def _needs(needed: int, there: int) -> str:
    are = "is 1" if there == 1 else f"are {there}"
    return f"needs {needed} samples; there {are}"


def _steady(measurement: Measurement) -> str:
    """Why it is unknown whether the series is steady: that is judged in each process."""
    fewest = min(len(run) for run in measurement.runs_ms)
    if len(measurement.runs_ms) == 1:
        return _needs(LEAST_SAMPLES, fewest)
    return f"needs {LEAST_SAMPLES} samples in each process; one has {fewest}"


def _few(name: str, count: int) -> str:
    return _needs(2 if name == "std" else samples_needed(PERCENTILES[name]), count)


def _interval(name: str, measurement: Measurement) -> str:
    count, runs = len(measurement.series.steady_ms), len(measurement.runs_ms)
    if name == "p99_ms" and count < samples_needed(99):
        return _needs(samples_needed(99), count)
    subject = "one process does" if runs == 1 else f"{runs} processes do"
    return f"{subject} not show the variation between processes; use --runs {LEAST_RUNS} or more"


def _subject(name: str) -> str:
    if name.startswith("quality"):
        return "the package holds no measured PSNR; vsrc eval measures it"
    return _FOREIGN


def _arithmetic(name: str, measurement: Measurement) -> str:
    missing = measurement.backend_rates.missing
    if name == "copy_share":
        return missing["copy_gb_per_s"]
    if name == "gflop_per_s" or measurement.network is None:
        return _FOREIGN
    return missing["matmul_gop_per_s"]


def _stage(name: str, measurement: Measurement) -> str:
    missing = measurement.stages.missing
    stage, _, rest = name.partition(".")
    if rest:  # inside a distribution
        count = len(measurement.stages.durations_ms[stage.removesuffix("_ms")])
        return _few(rest, count)
    stage = stage.removesuffix("_ms")
    stage = (
        "end_to_end" if stage in ("end_to_end_fps", "end_to_end_frames", "first_frame") else stage
    )
    stage = "network" if stage == "clock" else stage
    if stage in missing:
        return missing[stage]
    if not measurement.session.startswith("ort-cpu"):
        return f"{measurement.session} does not report the time of its parts"
    if stage == "enqueue":
        return "the call returns when the frame is done"
    return _ON_CPU


def _build(measurement: Measurement) -> str:
    if measurement.session.startswith("ort-tensorrt"):
        return "it is built while the session opens, and part of load_ms"
    return "no engine is built: the graph runs as it is"


def _why_no_contention(measurement: Measurement) -> str:
    if is_on_cores(measurement.session):
        return "/proc/stat does not report the time of the cores"
    return f"{measurement.session} does not run on the CPU"


def _power(measurement: Measurement) -> str:
    seen = measurement.watched
    if seen.totals:
        return f"{' + '.join(seen.totals)} gave fewer than two readings in that time"
    kinds = ("gpu", "power rails", "cpu energy", "nvidia", "jetson")
    why = [f"{kind}: {seen.unreadable[kind]}" for kind in kinds if kind in seen.unreadable]
    return "; ".join(why) or "this machine has no power sensor"


def _soak(name: str, measurement: Measurement) -> str:
    if not name:
        return "no --minutes was given"
    if name == "settled":
        why = measurement.watched.unreadable.get("temperature")
        return why or "the temperature was read for less than two minutes"
    return "the soak lasted less than two minutes"
