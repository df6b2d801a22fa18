"""Step 3: sensors rise under load; the names of all rails and zones are kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import asdict

from vsrc.export.selftest.context import Context
from vsrc.runtime.backends.device.cuda_gpu import CudaGpu
from vsrc.runtime.errors import VsrcError
from vsrc.runtime.sensors.cuda_device import cuda_device
from vsrc.runtime.sensors.power import mean_watts
from vsrc.runtime.sensors.telemetry import Reading, Telemetry, find_sensors

_IDLE_SECONDS, _LOAD_SECONDS = 3.0, 6.0
_COPY_BYTES = 128 << 20


def try_sensors(context: Context) -> None:
    """Read sensors at rest and while the device copies."""
    telemetry = Telemetry(*find_sensors(device=context.device), period_seconds=0.25)
    gpu = CudaGpu(cuda_device(context.device))
    telemetry.start()
    time.sleep(_IDLE_SECONDS)
    middle = telemetry.now()
    _load(gpu)
    telemetry.stop()
    context.keep(
        "sensors.json",
        {
            "facts": telemetry.facts,
            "unreadable": telemetry.unreadable,
            "totals": telemetry.totals,
            "load_begins_seconds": middle,
            "readings": [asdict(reading) for reading in telemetry.readings],
        },
    )
    idle = [each for each in telemetry.readings if each.seconds < middle]
    busy = [each for each in telemetry.readings if each.seconds >= middle + 1]
    _compare(context, telemetry, idle, busy)
    names = sorted({name for each in telemetry.readings for name in each.watts})
    names += sorted({name for each in telemetry.readings for name in each.joules})
    context.add("rails", "passed" if names else "skipped", ", ".join(names) or "none is readable")


def _load(gpu: CudaGpu) -> None:
    """Copy within device memory for some seconds."""
    size = min(_COPY_BYTES, gpu.device.free_bytes // 8)
    stream, memory = gpu.stream(), [gpu.allocate(size) for _ in range(2)]
    stop = threading.Event()
    timer = threading.Timer(_LOAD_SECONDS, stop.set)
    timer.start()
    while not stop.is_set():
        for _ in range(16):
            gpu.copy(memory[0], memory[1], size, stream)
        gpu.drain(stream)
    for address in memory:
        gpu.release(address)
    gpu.release_stream(stream)


def _compare(
    context: Context, telemetry: Telemetry, idle: Sequence[Reading], busy: Sequence[Reading]
) -> None:
    """Power or load must rise, whichever is readable."""
    windows = [(each[0].seconds, each[-1].seconds) for each in (idle, busy) if each]
    watts = [mean_watts(telemetry.readings, telemetry.totals, [each]) for each in windows]
    loads = [[each.load["gpu"] for each in side if "gpu" in each.load] for side in (idle, busy)]
    rises, texts = [], []
    if len(watts) == 2 and watts[0] is not None and watts[1] is not None:
        rises.append(watts[1] > watts[0])
        texts.append(f"{watts[0]:.1f} to {watts[1]:.1f} W")
    if all(loads):
        rises.append(max(loads[1]) > max(loads[0]))
        texts.append(f"load {max(loads[0]):.2f} to {max(loads[1]):.2f}")
    if not rises:
        reasons = [f"{name}: {why}" for name, why in telemetry.unreadable.items()]
        context.add("power or load rises under load", "skipped", "; ".join(reasons))
        return
    with context.attempt("power or load rises under load") as said:
        said += texts
        if not any(rises):
            raise VsrcError(f"neither rose: {', '.join(texts)}")
