"""The latency report of `vsrc bench`, as JSON with a versioned schema.

`make schemas` writes `assets/bench-report.schema.json`, its JSON Schema, and the table in
docs/bench.md from the dataclasses here and in the modules they come from. New sections and fields
may be added without a new version; readers ignore unknown fields. The version is increased when a
field is removed or changes its meaning.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from vsrc.runtime.latency.backend_rates import BackendRates
from vsrc.runtime.latency.rates import Rates
from vsrc.runtime.latency.sections import (
    Arithmetic,
    Feed,
    Gate,
    Intervals,
    Memory,
    Power,
    Soak,
    Stages,
    Startup,
    Stream,
    Subject,
    Warmup,
)
from vsrc.runtime.machine import Machine
from vsrc.runtime.report.distribution import Distribution
from vsrc.runtime.schema import Limits, Positive, UtcTime, to_json
from vsrc.runtime.sensors.device_record import Device

KIND = "vsrc-bench"
SET_KIND = f"{KIND}-set"
SCHEMA_VERSION = 2
"""Schema version of the JSON. 2: `arithmetic.matmul_share` is of the rate in the arithmetic of the
graph, no longer of the float32 rate."""

COMPARABLE_VERSIONS = (1, 2)
"""Versions whose latencies can be compared."""


@dataclass(frozen=True)
class BenchReport:
    """All results of one run of `vsrc bench`.

    Attributes:
        started_utc: Start time, ISO 8601, UTC.
        subject: Package, graph or engine that was measured.
        feed: Input frames.
        startup: Durations of one-time steps.
        warmup: Samples excluded as warm-up.
        latency_ms: Latency of one frame, from uint8 in main memory to uint8 in main memory, ms.
        jitter_ms: Mean absolute difference between consecutive samples, ms.
        throughput_fps: Output frames a second over the steady part, wall time.
        intervals: 95 % intervals of the numbers above.
        stream: Deadlines of a stream of `--fps` frames a second.
        stages: Duration of each stage.
        memory: Main memory used.
        power: Power and energy.
        arithmetic: Share of the arithmetic and copy rates of what ran the network.
        soak: Result of a soak; None unless requested.
        device: Telemetry of the device while the network ran.
        machine: Machine that ran the network.
        rates: Arithmetic and copy rates of that machine, measured in the same process.
        backend_rates: Rates of the backend that ran the network, in the arithmetic of its graph.
        gates: Requested limits.
        samples_ms: All steady samples in the order taken, ms.
        samples_per_run: Number of samples of each process, in the same order.
        taken_share_per_run: Largest share of the time that others can have taken, per process, in
            the same order; None where unknown.
        null_reasons: Dotted path of each field that is null -> why.
    """

    started_utc: UtcTime
    subject: Subject
    feed: Feed
    startup: Startup
    warmup: Warmup
    latency_ms: Distribution
    jitter_ms: float | None
    throughput_fps: Positive
    intervals: Intervals
    stream: Stream
    stages: Stages
    memory: Memory
    power: Power
    arithmetic: Arithmetic
    soak: Soak | None
    device: Device
    machine: Machine
    rates: Rates
    backend_rates: BackendRates
    gates: tuple[Gate, ...]
    samples_ms: Annotated[tuple[float, ...], Limits(min_items=1)]
    samples_per_run: tuple[int, ...]
    taken_share_per_run: tuple[Annotated[float, Limits(minimum=0, below=1)], ...] | None
    null_reasons: dict[str, str] = field(default_factory=dict)


def report_to_text(report: BenchReport) -> str:
    """Format a report as JSON."""
    return _text(_data(report))


def reports_to_text(reports: Sequence[BenchReport]) -> str:
    """Format one report, or several as a set, as JSON."""
    if len(reports) == 1:
        return report_to_text(reports[0])
    return _text(
        {
            "kind": SET_KIND,
            "schema_version": SCHEMA_VERSION,
            "reports": [_data(report) for report in reports],
        }
    )


def _data(report: BenchReport) -> dict[str, Any]:
    return {"kind": KIND, "schema_version": SCHEMA_VERSION, **to_json(report)}


def _text(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=2, allow_nan=False) + "\n"
