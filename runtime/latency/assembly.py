"""Build a latency report from raw measurements: statistics, shares, gates and null reasons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from statistics import fmean, median
from typing import Any

import numpy as np

from vsrc.runtime.latency.config import BenchConfig, GateName
from vsrc.runtime.latency.contention import interval_alone
from vsrc.runtime.latency.measurement import Measurement
from vsrc.runtime.latency.null_reasons import reasons_of
from vsrc.runtime.latency.report import BenchReport
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
from vsrc.runtime.report.distribution import Distribution, distribution
from vsrc.runtime.report.interval import Interval, mean
from vsrc.runtime.report.interval import median as median_of
from vsrc.runtime.schema import to_json
from vsrc.runtime.sensors.device_record import Device
from vsrc.runtime.sensors.power import has_settled, mean_watts, throttle_events
from vsrc.runtime.spec import Quality

QUALITY_METRIC = "psnr_y"
_MINUTE_MS = 60_000.0


def assemble(
    config: BenchConfig, measurement: Measurement, *, machine: Machine, started: datetime
) -> BenchReport:
    """Build the report of a measurement.

    Args:
        config: Options of the run; its model is a path.
        measurement: Raw measurements.
        machine: Machine on which they were taken.
        started: Start time, UTC.
    """
    height, width = config.shape
    series = measurement.series
    latency_ms = distribution(series.steady_ms)
    throughput_fps = len(series.steady_ms) * measurement.frames_per_run / series.steady_wall_seconds
    power = _power(measurement, throughput_fps)
    memory = Memory(measurement.before_load_bytes, measurement.peak_bytes)
    parts: dict[str, Any] = {
        "started_utc": started.isoformat(timespec="seconds"),
        "subject": _subject(config, measurement),
        "feed": Feed(batch=1, height_px=height, width_px=width),
        "startup": Startup(
            median(measurement.import_ms),
            median(measurement.load_ms),
            median(measurement.first_inference_ms),
            measurement.engine_build_ms,
        ),
        "warmup": Warmup(series.warmup_ms, series.steady),
        "latency_ms": latency_ms,
        "jitter_ms": _jitter_ms(series.steady_ms),
        "throughput_fps": throughput_fps,
        "intervals": _intervals(measurement, latency_ms, throughput_fps),
        "stream": _stream(config, measurement),
        "stages": _stages(measurement),
        "memory": memory,
        "power": power,
        "arithmetic": _arithmetic(config, measurement, throughput_fps),
        "soak": _soak(config, measurement),
        "device": _device(measurement),
        "machine": machine,
        "rates": measurement.rates,
        "backend_rates": measurement.backend_rates,
        "gates": tuple(_gates(config, latency_ms, throughput_fps, power, memory)),
        "samples_ms": series.steady_ms,
        "samples_per_run": tuple(map(len, measurement.runs_ms)),
        "taken_share_per_run": all_or_none(measurement.taken_shares),
    }
    missing = _nulls(to_json(parts))
    return BenchReport(**parts, null_reasons=reasons_of(missing, config, measurement, machine))


def _subject(config: BenchConfig, measurement: Measurement) -> Subject:
    network = measurement.network
    height, width = config.shape
    decibels, data = _quality(measurement.quality)
    return Subject(
        model=str(config.model),
        kind=measurement.kind,
        network=measurement.name,
        graph_file=measurement.graph_file,
        graph_sha256=measurement.graph_sha256,
        precision=measurement.precision,
        session=measurement.session,
        threads=measurement.rates.threads,
        versions=measurement.versions,
        scale=network.scale if network else None,
        window_frames=network.window if network else None,
        lookahead_frames=network.lookahead if network else None,
        parameters=network.parameters if network else None,
        gmac_per_frame=network.gmac_per_lr_pixel * height * width if network else None,
        quality_db=decibels,
        quality_data=data,
    )


def _quality(measured: Sequence[Quality]) -> tuple[float | None, str | None]:
    """Mean PSNR of luma over the clips of the first protocol, and the names of the clips."""
    luma = [score for score in measured if score.metric == QUALITY_METRIC]
    same = [score for score in luma if score.protocol == luma[0].protocol]
    if not same:
        return None, None
    return fmean(score.value for score in same), ", ".join(score.data for score in same)


def _jitter_ms(samples_ms: Sequence[float]) -> float | None:
    if len(samples_ms) < 2:
        return None
    return float(np.abs(np.diff(samples_ms)).mean())


def _intervals(measurement: Measurement, latency: Distribution, throughput_fps: float) -> Intervals:
    shares = all_or_none(measurement.taken_shares) or (0.0,) * len(measurement.runs_ms)
    interval = partial(interval_alone, measurement.runs_ms, shares)
    of_mean = interval(mean)
    rate = None
    if of_mean is not None and of_mean.low > 0:
        # Wall time includes gaps between the samples: scale the throughput, do not invert the mean.
        ends = (throughput_fps * latency.mean / end for end in (of_mean.high, of_mean.low))
        rate = Interval(*ends)
    return Intervals(
        p50_ms=interval(median_of),
        p99_ms=None if latency.p99 is None else interval(_p99),
        mean_ms=of_mean,
        throughput_fps=rate,
    )


def all_or_none(shares: Sequence[float | None]) -> tuple[float, ...] | None:
    """Return the shares, or None if any of them is unknown."""
    known = tuple(share for share in shares if share is not None)
    return known if len(known) == len(shares) else None


def _p99(values: np.ndarray) -> float:
    return float(np.percentile(values, 99))


def _stream(config: BenchConfig, measurement: Measurement) -> Stream:
    if config.fps is None:
        return Stream(None, None, None, None, None)
    # A network that doubles the frame rate outputs two frames per sample.
    deadline_ms = 1000 / config.fps
    misses = sum(value > deadline_ms for value in measurement.series.steady_ms)
    ahead = None if measurement.network is None else measurement.network.lookahead * deadline_ms
    return Stream(
        config.fps, ahead, deadline_ms, misses, misses / len(measurement.series.steady_ms)
    )


def _stages(measurement: Measurement) -> Stages:
    of = {
        name: distribution(values)
        for name, values in measurement.stages.durations_ms.items()
        if values
    }
    return Stages(
        decode_ms=of.get("decode"),
        upload_ms=of.get("upload"),
        pre_ms=of.get("pre"),
        network_ms=of.get("network"),
        post_ms=of.get("post"),
        download_ms=of.get("download"),
        encode_ms=of.get("encode"),
        enqueue_ms=of.get("enqueue"),
        clock=measurement.stages.clock,
        end_to_end_fps=measurement.stages.end_to_end_fps,
        end_to_end_frames=measurement.stages.end_to_end_frames,
        first_frame_ms=measurement.stages.first_frame_ms,
    )


def _power(measurement: Measurement, throughput_fps: float) -> Power:
    seen = measurement.watched
    idle_w, busy_w = (
        mean_watts(seen.readings, seen.totals, windows) for windows in ((seen.idle,), seen.busy)
    )
    both = idle_w is not None and busy_w is not None
    return Power(
        source=" + ".join(seen.totals) or None,
        idle_w=idle_w,
        busy_w=busy_w,
        joule_per_frame=(busy_w - idle_w) / throughput_fps if both else None,  # type: ignore[operator]
    )


def _arithmetic(config: BenchConfig, measurement: Measurement, throughput_fps: float) -> Arithmetic:
    height, width = config.shape
    gb_per_s = measurement.fed_bytes / measurement.frames_per_run * throughput_fps / 1e9
    rates = measurement.backend_rates
    copied = (gb_per_s, rates.copy_gb_per_s and gb_per_s / rates.copy_gb_per_s)
    if measurement.network is None:
        return Arithmetic(None, None, *copied)
    gflop_per_s = 2 * measurement.network.gmac_per_lr_pixel * height * width * throughput_fps
    share = rates.matmul_gop_per_s and gflop_per_s / rates.matmul_gop_per_s
    return Arithmetic(gflop_per_s, share, *copied)


def _soak(config: BenchConfig, measurement: Measurement) -> Soak | None:
    if config.minutes is None:
        return None
    ((start, end),) = measurement.watched.busy
    inside = [
        reading for reading in measurement.watched.readings if start <= reading.seconds <= end
    ]
    samples_ms = (*measurement.series.warmup_ms, *measurement.series.steady_ms)
    long_enough = end - start >= 2 * _MINUTE_MS / 1000
    # Gaps between the samples belong to no sample; assume the same share in every minute.
    stretch = measurement.series.steady_wall_seconds * 1000 / sum(measurement.series.steady_ms)
    ends = [_minute_fps(part, measurement, stretch) for part in (samples_ms, samples_ms[::-1])]
    first_fps, last_fps = ends if long_enough else (None, None)
    return Soak(config.minutes, (end - start) / 60, has_settled(inside), first_fps, last_fps)


def _minute_fps(samples_ms: Sequence[float], measurement: Measurement, stretch: float) -> float:
    """Frames per second of the samples that end within the first minute; at least one sample."""
    ends = np.cumsum(samples_ms) * stretch
    count = max(int(np.searchsorted(ends, _MINUTE_MS, side="right")), 1)
    return count * measurement.frames_per_run / (float(ends[count - 1]) / 1000)


def _device(measurement: Measurement) -> Device:
    seen = measurement.watched
    return Device(
        facts=seen.facts,
        unreadable=seen.unreadable,
        busy_from_seconds=seen.busy[0][0],
        busy_to_seconds=seen.busy[-1][1],
        throttle_events=throttle_events(seen.readings),
        readings=seen.readings,
    )


def _gates(
    config: BenchConfig,
    latency_ms: Distribution,
    throughput_fps: float,
    power: Power,
    memory: Memory,
) -> Iterator[Gate]:
    peak_mb = None if memory.peak_bytes is None else memory.peak_bytes / 1e6
    measured: dict[GateName, float | None] = {
        "max_p99_ms": latency_ms.p99,
        "min_fps": throughput_fps,
        "max_watts": power.busy_w,
        "max_rss_mb": peak_mb,
    }
    for name, value in measured.items():
        if (limit := getattr(config, name)) is None:
            continue
        kept = value is not None and (value >= limit if name == "min_fps" else value <= limit)
        yield Gate(name, limit, value, passed=kept)


def _nulls(value: object, where: str = "") -> Iterator[str]:
    """Yield the dotted paths of all null fields, except inside lists."""
    if value is None:
        yield where.lstrip(".")
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _nulls(item, f"{where}.{key}")
