"""Measure speed, memory and power of a package or graph on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone

from vsrc.runtime.backends.device.engine_file import read_engine_spec
from vsrc.runtime.backends.opening import require_backend
from vsrc.runtime.errors import GateError, SpecError
from vsrc.runtime.latency.assembly import assemble
from vsrc.runtime.latency.child import BenchCallback, request_for
from vsrc.runtime.latency.config import BenchConfig, BenchProgress
from vsrc.runtime.latency.measurement import Measurement, join_measurements
from vsrc.runtime.latency.model_names import model_names
from vsrc.runtime.latency.report import BenchReport
from vsrc.runtime.latency.sections import Gate
from vsrc.runtime.latency.subject import ENGINE_SUFFIXES
from vsrc.runtime.machine import this_machine
from vsrc.runtime.processes.fresh_process import Message, ask
from vsrc.runtime.schema import from_json
from vsrc.runtime.shipped_models import shipped, typed_name

_MEASURED_BY = {
    "max_p99_ms": "latency_ms.p99",
    "min_fps": "throughput_fps",
    "max_watts": "power.busy_w",
    "max_rss_mb": "memory.peak_bytes",
}
"""Gate -> field of the report that it limits."""


def bench(config: BenchConfig, *, progress: BenchCallback = lambda _step: None) -> BenchReport:
    """Measure a package in fresh processes and return the report.

    Missed limits do not raise: they are part of the report. `check_gates` raises.

    Args:
        config: What to measure, for how long, and the limits.
        progress: Called a few times a second.

    Raises:
        VsrcError: The package cannot be opened or run, or does not accept frames of this shape.
    """
    (report,) = bench_all([config], progress=progress)
    return report


def bench_all(
    configs: Sequence[BenchConfig],
    *,
    progress: BenchCallback = lambda _step: None,
) -> list[BenchReport]:
    """Measure several packages; see `bench`.

    They take turns, process by process, so that a disturbance affects all alike.
    """
    configs = [replace(config, model=config.model or shipped()) for config in configs]
    for config in configs:
        require_backend(_backend_of(config))
    started = [datetime.now(timezone.utc)] * len(configs)
    machine = this_machine()
    measurements: list[list[Measurement]] = [[] for _ in configs]
    for turn in range(max(config.run_count for config in configs)):
        for at, config in enumerate(configs):
            tell = _told_of(config, turn, progress)
            if turn == 0:
                started[at] = datetime.now(timezone.utc)
                measurements[at].append(_measure_apart(request_for(config), tell))
            elif turn < config.run_count:
                again = request_for(replace(config, stages=False), measurements[at][0])
                measurements[at].append(_measure_apart(again, tell))
    return [
        assemble(config, join_measurements(all_runs), machine=machine, started=when)
        for config, all_runs, when in zip(configs, measurements, started, strict=True)
    ]


def _told_of(config: BenchConfig, turn: int, progress: BenchCallback) -> BenchCallback:
    """Return a callback that adds to the progress whose it is."""
    assert config.model is not None
    model = typed_name(config.model)

    def tell(now: BenchProgress) -> None:
        progress(replace(now, model=model, process=turn + 1, processes=config.run_count))

    return tell


def _backend_of(config: BenchConfig) -> str:
    """Choose the backend: that of an engine's sidecar, and ONNX Runtime for `auto` and a graph."""
    path = config.model
    assert path is not None
    suffix = path.suffix.lower()
    if suffix in ENGINE_SUFFIXES:
        with suppress(SpecError):  # opening it reports what is wrong
            return read_engine_spec(path).target.backend
    return "ort" if suffix == ".onnx" and config.backend == "auto" else config.backend


def check_gates(*reports: BenchReport) -> None:
    """Raise if a limit was missed.

    Raises:
        GateError: A limit was missed; names all of them with the measured values.
    """
    missed = [
        (f"{name}: " if len(reports) > 1 else "") + f"{gate}{_why(gate, report)}"
        for report, name in zip(reports, model_names(reports), strict=True)
        for gate in report.gates
        if not gate.passed
    ]
    if missed:
        raise GateError("; ".join(missed))


def _why(gate: Gate, report: BenchReport) -> str:
    """Format the reason why nothing was measured, in parentheses."""
    reason = report.null_reasons.get(_MEASURED_BY[gate.name])
    return f" ({reason})" if gate.measured is None and reason else ""


def _measure_apart(request: Message, progress: BenchCallback) -> Measurement:
    answer = ask(
        "vsrc.runtime.latency.child", request, lambda step: progress(BenchProgress(**step))
    )
    return from_json(Measurement, answer, where="measuring process")
