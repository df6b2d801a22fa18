"""The latency report: what `vsrc bench` measured, as JSON with a versioned schema.

`assets/bench-report.schema.json` is the schema, docs/bench.md explains every field. New sections
and fields may be added without a new version; readers skip what they do not know. The version goes
up when a field goes away or changes its meaning.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from vsrc.runtime.distribution import Distribution
from vsrc.runtime.machine import Machine
from vsrc.runtime.rates import Rates
from vsrc.runtime.schema import to_json

SCHEMA_VERSION = 1
"""Version of the report's JSON."""


@dataclass(frozen=True)
class Subject:
    """What was measured.

    Attributes:
        model: Path of the package as it was named.
        network: Name of the network.
        graph_sha256: Hash of the graph that ran.
        precision: Its arithmetic.
        session: What ran it ("ort-cpu fp32").
        threads: CPU threads inside one operator.
        versions: Package -> version, of what takes part.
        scale: Integer SR/LR side ratio.
        window_frames: Frames fed at once.
        lookahead_frames: Frames after the one restored that must be there first: the latency of the
            method itself, in frame times, which no faster machine takes away.
        parameters: Weights as deployed.
        gmac_per_frame: Multiply-accumulates for one output frame at this size, 1e9.
    """

    model: str
    network: str
    graph_sha256: str
    precision: str
    session: str
    threads: int
    versions: dict[str, str]
    scale: int
    window_frames: int
    lookahead_frames: int
    parameters: int
    gmac_per_frame: float


@dataclass(frozen=True)
class Feed:
    """What it was fed: noise of a fixed seed, uint8, in main memory."""

    batch: int
    height_px: int
    width_px: int


@dataclass(frozen=True)
class Startup:
    """What happens once, in a process that did nothing before.

    Attributes:
        import_ms: Loading vsrc's runtime and the library that runs the graph.
        load_ms: Checking the graph's hash and opening a session on it.
        first_inference_ms: The first frame; it allocates and may tune.
    """

    import_ms: float
    load_ms: float
    first_inference_ms: float


@dataclass(frozen=True)
class Memory:
    """Main memory of the measuring process, which held nothing else; None where unknown.

    Attributes:
        before_load_bytes: Peak after the imports, before the model was opened.
        peak_bytes: Peak after the last frame.
    """

    before_load_bytes: int | None
    peak_bytes: int | None


@dataclass(frozen=True)
class Warmup:
    """How the measured series began; see `vsrc.runtime.steady`.

    Attributes:
        samples_ms: Frames after the first that were not yet steady, ms; in no other number.
        steady: Whether the series kept its level afterwards; None: too few samples to tell.
    """

    samples_ms: tuple[float, ...]
    steady: bool | None


@dataclass(frozen=True)
class Arithmetic:
    """How much of the machine the network uses.

    Attributes:
        gflop_per_s: 2 x gmac_per_frame x throughput_fps.
        matmul_share: The same as a fraction of the measured matrix-multiply rate: 1.0 means that
            nothing but a smaller or lower-precision network can make it faster.
    """

    gflop_per_s: float
    matmul_share: float


@dataclass(frozen=True)
class Gate:
    """A limit and whether it was kept.

    Attributes:
        name: Name of the option, with its unit.
        limit: What was demanded.
        measured: What was found.
        passed: False too where nothing could be measured.
    """

    name: str
    limit: float
    measured: float | None
    passed: bool

    def __str__(self) -> str:
        value = "nothing" if self.measured is None else f"{self.measured:.4g}"
        option = "--" + self.name.replace("_", "-")
        return f"{option} {self.limit:g}: {'kept' if self.passed else 'missed'}, measured {value}"


@dataclass(frozen=True)
class BenchReport:
    """Everything one run of `vsrc bench` found.

    Attributes:
        started_utc: When, ISO 8601.
        subject: What was measured.
        feed: What it was fed.
        startup: Times of what happens once.
        warmup: What was left out.
        latency_ms: One frame, from uint8 in main memory to uint8 in main memory, ms.
        throughput_fps: Output frames a second over the steady part, wall time.
        memory: Main memory used.
        arithmetic: Share of the machine's arithmetic.
        machine: What it ran on.
        rates: How fast that machine multiplies and copies, measured in the same process.
        gates: Limits asked for.
        samples_ms: Every steady sample in the order taken, ms.
        null_reasons: Dotted path of each field that is null -> why.
    """

    started_utc: str
    subject: Subject
    feed: Feed
    startup: Startup
    warmup: Warmup
    latency_ms: Distribution
    throughput_fps: float
    memory: Memory
    arithmetic: Arithmetic
    machine: Machine
    rates: Rates
    gates: tuple[Gate, ...]
    samples_ms: tuple[float, ...]
    null_reasons: dict[str, str] = field(default_factory=dict)


def report_to_text(report: BenchReport) -> str:
    """The JSON text of a report."""
    head = {"kind": "vsrc-bench", "schema_version": SCHEMA_VERSION}
    return json.dumps({**head, **to_json(report)}, indent=2, allow_nan=False) + "\n"
