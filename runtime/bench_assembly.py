"""From raw findings to a latency report: sums, shares, gates, and why a number is missing."""

from __future__ import annotations

from datetime import datetime

from vsrc.runtime.bench_config import BenchConfig
from vsrc.runtime.bench_report import (
    Arithmetic,
    BenchReport,
    Feed,
    Gate,
    Memory,
    Startup,
    Subject,
    Warmup,
)
from vsrc.runtime.distribution import PERCENTILES, Distribution, distribution, samples_needed
from vsrc.runtime.machine import Machine, machine_null_reasons
from vsrc.runtime.measurement import Measurement
from vsrc.runtime.spec import NetworkSpec
from vsrc.runtime.steady import LEAST_SAMPLES


def assemble(
    config: BenchConfig,
    network: NetworkSpec,
    found: Measurement,
    *,
    machine: Machine,
    started: datetime,
) -> BenchReport:
    """Make the report of what was found.

    Args:
        config: What was asked; its model is a path.
        network: What the package says of its network.
        found: What was measured.
        machine: Where.
        started: When, UTC.
    """
    height, width = config.shape
    series, rates = found.series, found.rates
    latency_ms = distribution(series.steady_ms)
    throughput_fps = len(series.steady_ms) * found.frames_per_run / series.steady_wall_seconds
    gmac_per_frame = network.gmac_per_lr_pixel * height * width
    gflop_per_s = 2 * gmac_per_frame * throughput_fps
    return BenchReport(
        started_utc=started.isoformat(timespec="seconds"),
        subject=Subject(
            model=str(config.model),
            network=network.name,
            graph_sha256=found.graph_sha256,
            precision=found.precision,
            session=found.session,
            threads=rates.threads,
            versions=found.versions,
            scale=network.scale,
            window_frames=network.window,
            lookahead_frames=network.radius,
            parameters=network.parameters,
            gmac_per_frame=gmac_per_frame,
        ),
        feed=Feed(batch=1, height_px=height, width_px=width),
        startup=Startup(found.import_ms, found.load_ms, found.first_inference_ms),
        warmup=Warmup(series.warmup_ms, series.steady),
        latency_ms=latency_ms,
        throughput_fps=throughput_fps,
        memory=Memory(found.before_load_bytes, found.peak_bytes),
        arithmetic=Arithmetic(gflop_per_s, gflop_per_s / rates.matmul_gflop_per_s),
        machine=machine,
        rates=rates,
        gates=_gates(config, latency_ms, throughput_fps),
        samples_ms=series.steady_ms,
        null_reasons=_null_reasons(latency_ms, series.steady, machine, found),
    )


def _gates(
    config: BenchConfig, latency_ms: Distribution, throughput_fps: float
) -> tuple[Gate, ...]:
    gates = []
    if (limit := config.max_p99_ms) is not None:
        p99 = latency_ms.p99
        gates.append(Gate("max_p99_ms", limit, p99, passed=p99 is not None and p99 <= limit))
    if (limit := config.min_fps) is not None:
        gates.append(Gate("min_fps", limit, throughput_fps, passed=throughput_fps >= limit))
    return tuple(gates)


def _null_reasons(
    latency_ms: Distribution, steady: bool | None, machine: Machine, found: Measurement
) -> dict[str, str]:
    count = latency_ms.count
    reasons = {
        f"latency_ms.{name}": f"needs {samples_needed(percent)} samples; there are {count}"
        for name, percent in PERCENTILES.items()
        if getattr(latency_ms, name) is None
    }
    if latency_ms.std is None:
        reasons["latency_ms.std"] = "needs 2 samples; there is 1"
    if steady is None:
        reasons["warmup.steady"] = f"needs {LEAST_SAMPLES} samples; there are {count}"
    reasons |= machine_null_reasons(machine)
    silent = {
        "memory.before_load_bytes": (found.before_load_bytes, "no VmHWM in /proc/self/status"),
        "memory.peak_bytes": (found.peak_bytes, "no VmHWM in /proc/self/status"),
    }
    return reasons | {path: why for path, (value, why) in silent.items() if value is None}
