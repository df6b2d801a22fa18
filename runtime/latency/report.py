"""The latency report: what `vsrc bench` measured, as JSON with a versioned schema.

`make schemas` writes `assets/bench-report.schema.json`, its JSON Schema, and the table in
docs/bench.md from the dataclasses here and in the modules they come from. New sections and fields
may be added without a new version; readers skip what they do not know. The version goes up when a
field goes away or changes its meaning.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

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
SCHEMA_VERSION = 1
"""Version of the report's JSON."""


@dataclass(frozen=True)
class BenchReport:
    """Everything one run of `vsrc bench` found.

    Attributes:
        started_utc: When, ISO 8601, UTC.
        subject: What was measured.
        feed: What it was fed.
        startup: Times of what happens once.
        warmup: What was left out.
        latency_ms: One frame, from uint8 in main memory to uint8 in main memory, ms.
        jitter_ms: Mean difference between one sample and the next, ms.
        throughput_fps: Output frames a second over the steady part, wall time.
        intervals: How far the numbers above can be trusted.
        stream: What it means for a stream of `--fps` frames a second.
        stages: Where the time goes.
        memory: Main memory used.
        power: Watts and joules.
        arithmetic: Share of the machine's arithmetic.
        soak: How it held out; None unless it was asked for.
        device: What the device said while the network ran.
        machine: What it ran on.
        rates: How fast that machine multiplies and copies, measured in the same process.
        gates: Limits asked for.
        samples_ms: Every steady sample in the order taken, ms.
        samples_per_run: How many of them each process took, in the same order.
        taken_share_per_run: Share of that time that others had at most, in the same order; None
            where nobody can tell.
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
    gates: tuple[Gate, ...]
    samples_ms: Annotated[tuple[float, ...], Limits(min_items=1)]
    samples_per_run: tuple[int, ...]
    taken_share_per_run: tuple[Annotated[float, Limits(minimum=0, below=1)], ...] | None
    null_reasons: dict[str, str] = field(default_factory=dict)


def report_to_text(report: BenchReport) -> str:
    """The JSON text of a report."""
    return _text(_data(report))


def reports_to_text(reports: Sequence[BenchReport]) -> str:
    """The JSON text of a report, or of several as a set."""
    if len(reports) == 1:
        return report_to_text(reports[0])
    return _text(
        {
            "kind": f"{KIND}-set",
            "schema_version": SCHEMA_VERSION,
            "reports": [_data(report) for report in reports],
        }
    )


def _data(report: BenchReport) -> dict[str, Any]:
    return {"kind": KIND, "schema_version": SCHEMA_VERSION, **to_json(report)}


def _text(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=2, allow_nan=False) + "\n"
