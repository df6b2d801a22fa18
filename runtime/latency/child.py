"""The measuring process of `vsrc bench`: a fresh process that has loaded nothing else.

See `vsrc.runtime.processes.fresh_process` for why and how. Heavy imports are inside functions
because their time is part of what is measured.
"""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from vsrc.runtime.latency.config import SAMPLES_FOR_P99, BenchConfig, BenchProgress
from vsrc.runtime.processes.fresh_process import Message, answer
from vsrc.runtime.sensors.telemetry import Telemetry, find_sensors

if TYPE_CHECKING:
    from vsrc.runtime.latency.measurement import Measurement, StageTimes, Watched
    from vsrc.runtime.latency.sampling import Plan, Series
    from vsrc.runtime.latency.subject import BenchSubject

IDLE_SECONDS = 3.0
"""Seconds for which the idle machine is observed if it has a power sensor."""

_LIBRARIES = {
    "auto": "onnxruntime",
    "ort": "onnxruntime",
    "openvino": "openvino",
    "ort-cuda": "onnxruntime",
    "ort-tensorrt": "onnxruntime",
    "trt": "tensorrt",
    "trt-rtx": "tensorrt_rtx",
}
"""Backend -> module that it imports; imported first, so that it does not count as model load."""

_PROGRESS_SECONDS = 0.2

BenchCallback = Callable[[BenchProgress], None]


def request_for(config: BenchConfig, first: Measurement | None = None) -> Message:
    """Build the request for the child: the first measurement, or a repetition after `first`."""
    known = None
    if first is not None:
        known = {"machine": asdict(first.rates), "backend": asdict(first.backend_rates)}
    return {"config": {**asdict(config), "model": str(config.model)}, "rates": known}


def measure(config: BenchConfig, tell: BenchCallback, known: Message | None = None) -> Measurement:
    """Measure once, in this process; valid only in a process that has done nothing else before.

    Args:
        config: What to measure; its model is a path. This process takes its share of the samples
            of all runs.
        tell: Called with the progress, a few times a second.
        known: Rates of this machine and of the backend from an earlier run; they and the idle
            power are then not measured again.

    Raises:
        VsrcError: The package cannot be opened or run, or takes no frames of this shape.
    """
    telemetry = Telemetry(*find_sensors(device=config.device))
    idle = _idle(telemetry, None if known else tell)
    tell(BenchProgress("load"))
    start = time.perf_counter()
    import numpy as np

    from vsrc.runtime.backends.graph_in_use import is_on_cores
    from vsrc.runtime.dependencies import collect_versions
    from vsrc.runtime.latency.backend_rates import BackendRates, measure_backend_rates
    from vsrc.runtime.latency.contention import core_time, share_of_others
    from vsrc.runtime.latency.measurement import Measurement
    from vsrc.runtime.latency.rates import Rates, measure_rates
    from vsrc.runtime.latency.subject import open_subject
    from vsrc.runtime.machine import peak_memory_bytes

    with suppress(ImportError):  # opening the session reports what is missing
        importlib.import_module(_LIBRARIES.get(config.backend, "onnxruntime"))
    imported = time.perf_counter()

    before_load_bytes = peak_memory_bytes()
    opening = time.perf_counter()
    subject = open_subject(config)
    loaded = time.perf_counter()
    sr = np.asarray(subject.run())
    first_end = time.perf_counter()
    busy_from, before = telemetry.now(), core_time()
    series = _series(subject, config, telemetry, tell)
    busy, after = (busy_from, telemetry.now()), core_time()
    telemetry.stop()
    peak_bytes = peak_memory_bytes()
    stages = _stages(subject, config, tell)
    subject.close()

    if not known:
        tell(BenchProgress("machine"))
    rates = Rates(**known["machine"]) if known else measure_rates(threads=config.threads)
    backend_rates = (
        BackendRates(**known["backend"])
        if known
        else measure_backend_rates(
            subject.label,
            precision=subject.precision,
            threads=config.threads,
            copy_gb_per_s=rates.copy_gb_per_s,
            device=config.device,
        )
    )
    on_cores = is_on_cores(subject.label)
    return Measurement(
        kind=subject.kind,
        name=subject.name,
        network=subject.network,
        quality=subject.quality,
        import_ms=((imported - start) * 1000,),
        load_ms=((loaded - opening) * 1000,),
        first_inference_ms=((first_end - loaded) * 1000,),
        series=series,
        frames_per_run=sr.shape[1] if subject.network and sr.ndim == 5 else 1,
        fed_bytes=sr.nbytes + sum(array.nbytes for array in subject.feeds.values()),
        session=subject.label,
        graph_file=subject.graph_file,
        graph_sha256=subject.graph_sha256,
        precision=subject.precision,
        before_load_bytes=before_load_bytes,
        peak_bytes=peak_bytes,
        stages=stages,
        watched=_collect_watched(telemetry, idle, busy),
        rates=rates,
        backend_rates=backend_rates,
        versions=collect_versions(),
        taken_shares=(share_of_others(before, after, threads=rates.threads) if on_cores else None,),
        engine_build_ms=subject.build_ms,
    )


def main() -> None:
    """Answer a request of `request_for` with a `Measurement`."""
    answer(_answer)


def _answer(request: Message, tell: Callable[[Message], None]) -> Message:
    asked = request["config"]
    values = asked | {"model": Path(asked["model"]), "shape": tuple(asked["shape"])}
    config = BenchConfig(**values)
    return asdict(measure(config, lambda step: tell(asdict(step)), request["rates"]))


def _idle(telemetry: Telemetry, tell: BenchCallback | None) -> tuple[float, float]:
    """Observe the idle machine if it has a power sensor; without `tell`, only start telemetry."""
    telemetry.look()
    telemetry.start()
    if telemetry.totals and tell is not None:
        tell(BenchProgress("idle"))
        time.sleep(IDLE_SECONDS)
    return 0.0, telemetry.now()


def _series(
    subject: BenchSubject, config: BenchConfig, telemetry: Telemetry, tell: BenchCallback
) -> Series:
    from vsrc.runtime.latency.sampling import soak, take_samples
    from vsrc.runtime.sensors.power import has_settled

    progress = _throttle(tell)
    if config.minutes is not None:
        began = telemetry.now()

        def settled() -> bool:
            readings = [reading for reading in telemetry.readings if reading.seconds >= began]
            return has_settled(readings) is True

        return soak(subject.run, config.minutes * 60, settled, progress=progress)
    return take_samples(subject.run, _plan(config), progress=progress)


def _plan(config: BenchConfig) -> Plan:
    """Return the number of samples and seconds of one run."""
    from vsrc.runtime.latency.sampling import Plan

    runs = config.run_count
    if config.iterations is not None:
        return Plan(samples=math.ceil(config.iterations / runs))
    least = SAMPLES_FOR_P99 if config.max_p99_ms is not None else 1
    return Plan(samples=math.ceil(least / runs), seconds=config.seconds / runs)


def _stages(subject: BenchSubject, config: BenchConfig, tell: BenchCallback) -> StageTimes:
    from vsrc.runtime.latency.measurement import STAGES, StageTimes
    from vsrc.runtime.latency.stages import time_stages

    if not config.stages:
        why = "skipped because of --no-stages"
        return StageTimes(missing=dict.fromkeys(STAGES, why))
    tell(BenchProgress("stages"))
    return time_stages(subject, config)


def _collect_watched(
    telemetry: Telemetry, idle: tuple[float, float], busy: tuple[float, float]
) -> Watched:
    from vsrc.runtime.latency.measurement import Watched

    return Watched(
        facts=telemetry.facts,
        unreadable=telemetry.unreadable,
        totals=telemetry.totals,
        readings=tuple(telemetry.readings),
        idle=idle,
        busy=(busy,),
        began=telemetry.began,
    )


def _throttle(tell: BenchCallback) -> Callable[[int, float], None]:
    """Limit progress reports to a few per second, so that they do not disturb the samples."""
    last = 0.0

    def progress(samples: int, seconds: float) -> None:
        nonlocal last
        if seconds - last >= _PROGRESS_SECONDS:
            last = seconds
            tell(BenchProgress("sample", samples=samples, seconds=seconds))

    return progress
