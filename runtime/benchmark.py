"""Measure how fast a package runs on this machine, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone

from vsrc.runtime.bench_assembly import assemble
from vsrc.runtime.bench_child import config_to_request
from vsrc.runtime.bench_config import BenchConfig, BenchProgress
from vsrc.runtime.bench_report import BenchReport
from vsrc.runtime.errors import GateError
from vsrc.runtime.fresh_process import ask
from vsrc.runtime.machine import this_machine
from vsrc.runtime.measurement import Measurement
from vsrc.runtime.package import open_package, shipped
from vsrc.runtime.schema import from_json

DEFAULT_STUDENT = "edge-s"


def bench(
    config: BenchConfig, *, progress: Callable[[BenchProgress], None] = lambda _step: None
) -> BenchReport:
    """Measure a package in a fresh process and report.

    Limits that were missed do not raise: they are part of the report. `check_gates` raises.

    Args:
        config: What to measure, for how long, and the limits.
        progress: Told about progress, a few times a second.

    Raises:
        VsrcError: The package cannot be opened or run, or takes no frames of this shape.
    """
    config = replace(config, model=config.model or shipped(DEFAULT_STUDENT))
    assert config.model is not None
    network = open_package(
        config.model
    ).spec.network  # a bad one is refused before a process starts
    started, machine = datetime.now(timezone.utc), this_machine()
    found = _measured_apart(config, progress)
    return assemble(config, network, found, machine=machine, started=started)


def check_gates(report: BenchReport) -> None:
    """Raise if a limit was missed.

    Raises:
        GateError: Names every limit that was missed and what was measured instead.
    """
    if missed := [str(gate) for gate in report.gates if not gate.passed]:
        raise GateError("; ".join(missed))


def _measured_apart(config: BenchConfig, progress: Callable[[BenchProgress], None]) -> Measurement:
    found = ask(
        "vsrc.runtime.bench_child",
        config_to_request(config),
        lambda step: progress(BenchProgress(**step)),
    )
    return from_json(Measurement, found, where="measuring process")
