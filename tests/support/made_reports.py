"""Measurements made by hand, and reports of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from vsrc.runtime.latency.assembly import assemble
from vsrc.runtime.latency.backend_rates import BackendRates
from vsrc.runtime.latency.config import BenchConfig
from vsrc.runtime.latency.measurement import Measurement, StageTimes, Watched
from vsrc.runtime.latency.rates import Rates
from vsrc.runtime.latency.report import BenchReport
from vsrc.runtime.latency.sampling import Series
from vsrc.runtime.machine import Machine
from vsrc.runtime.sensors.telemetry import Reading
from vsrc.runtime.spec import NetworkSpec, Quality

NETWORK = NetworkSpec(
    name="edge-s",
    arguments={},
    scale=4,
    window=5,
    halo=7,
    parameters=40_000,
    gmac_per_lr_pixel=50e-6,
)
MACHINE = Machine(
    cpu="A Processor With A Name That Fills Most Of A Line, As Some Vendors Like It",
    architecture="x86_64",
    cores=2,
    core_limit=1.5,
    memory_bytes=25_000_000_000,
    system="Linux 6.1",
    load_average=0.1,
)
SILENT_MACHINE = dataclasses.replace(
    MACHINE, cpu=None, core_limit=None, memory_bytes=None, load_average=None
)


WATCHED = Watched(
    facts={"board": "a board"},
    unreadable={"gpu": "there is none"},
    totals=("VDD_IN",),
    # Idle at 5 W for 3 s, then busy at 12 W: 7 W are the network's.
    readings=tuple(
        Reading(seconds=float(at), watts={"VDD_IN": 5.0 if at <= 3 else 12.0}) for at in range(10)
    ),
    idle=(0.0, 3.0),
    busy=((4.0, 9.0),),
)
STAGES = StageTimes(
    durations_ms={"pre": (1.0,) * 30, "network": (15.0,) * 30, "post": (2.0,) * 30},
    missing={"decode": "not now", "encode": "not now", "end_to_end": "not now"},
    clock="a profiler",
)


STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def measurement(
    durations_ms: tuple[float, ...],
    *,
    steady: bool | None = True,
    runs: int = 1,
    **fields: Any,  # noqa: ANN401  of Measurement
) -> Measurement:
    """What one process, or several that took equally many samples, found."""
    found = Measurement(
        kind="package",
        name="edge-s",
        network=NETWORK,
        quality=(Quality("a", "psnr_y", "p", 26.0), Quality("b", "psnr_y", "p", 28.0)),
        fed_bytes=1_000_000,
        stages=STAGES,
        watched=WATCHED,
        import_ms=(100.0,) * runs,
        load_ms=(20.0,) * runs,
        first_inference_ms=(50.0,) * runs,
        series=Series((40.0, 30.0), durations_ms, sum(durations_ms) / 1000, steady),
        frames_per_run=1,
        session="ort-cpu fp32",
        graph_file="graphs/fp32.onnx",
        graph_sha256="0" * 64,
        precision="fp32",
        before_load_bytes=50_000_000,
        peak_bytes=80_000_000,
        rates=Rates(2, 200.0, 100.0, 20.0),
        backend_rates=BackendRates("uint8 x int8", 800.0, 20.0),
        versions={"python": "3.11.7"},
        samples_per_run=(len(durations_ms) // runs,) * runs,
        taken_shares=(0.0,) * runs,
    )
    return dataclasses.replace(found, **fields)


def report(
    durations_ms: tuple[float, ...] = (20.0,) * 1000,
    *,
    steady: bool | None = True,
    machine: Machine = MACHINE,
    runs: int = 1,
    taken_shares: tuple[float | None, ...] | None = None,
    **options: Any,  # noqa: ANN401  fields of BenchConfig
) -> BenchReport:
    config = BenchConfig(model=Path("student.vsrc"), **options)
    shares = taken_shares or (0.0,) * runs
    found = measurement(durations_ms, steady=steady, runs=runs, taken_shares=shares)
    return assemble(config, found, machine=machine, started=STARTED)


def documented(
    schema: dict[str, Any],
    value: object,
    where: str = "report",
    definitions: dict[str, Any] | None = None,
) -> Iterator[str]:
    """Names in `value` that the schema does not describe."""
    definitions = definitions or schema.get("$defs", {})
    for reference in (schema, *schema.get("anyOf", ())):
        schema = definitions.get(reference.get("$ref", "").rpartition("/")[2], schema)
    if isinstance(value, list):
        for item in value:
            yield from documented(schema["items"], item, f"{where}[]", definitions)
    if not isinstance(value, dict) or "properties" not in schema:
        return
    for key, item in value.items():
        described = schema["properties"].get(key)
        if described is None or not ("description" in described or "const" in described):
            yield f"{where}.{key}"
        else:
            yield from documented(described, item, f"{where}.{key}", definitions)


def nulls(value: object, where: str = "") -> Iterator[str]:
    """Dotted paths of all that is null."""
    if value is None:
        yield where.lstrip(".")
    if isinstance(value, dict):
        for key, item in value.items():
            yield from nulls(item, f"{where}.{key}")
