"""Time the stages of a window on a device: upload, network, download, without overlap."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.backends.device.gpu import Event, Gpu, GpuStream, Pinned
from vsrc.runtime.backends.device.program import Program

_WARMUP_RUNS = 3
"""Number of warm-up runs: the first initializes, the second is captured as a graph."""


@dataclass(frozen=True)
class DeviceStages:
    """Durations of each run, ms.

    Attributes:
        upload_ms: Time of the copy from pinned memory to the device, measured by events.
        network_ms: Time of the engine, or of its captured graph, measured by events.
        download_ms: Time of the copy from the device to pinned memory, measured by events.
        enqueue_ms: Time until the call that starts the network returned, by the host clock.
    """

    upload_ms: tuple[float, ...]
    network_ms: tuple[float, ...]
    download_ms: tuple[float, ...]
    enqueue_ms: tuple[float, ...]


def device_stages(
    gpu: Gpu,
    program: Program,
    stream: GpuStream,
    feeds: dict[str, NDArray[Any]],
    outputs: Sequence[str],
    *,
    seconds: float,
    runs: int = 100,
) -> DeviceStages:
    """Run a program repeatedly without overlap, and time its stages.

    Args:
        gpu: The device.
        program: Program of the network; it is reshaped to the shapes of `feeds`.
        stream: Stream of the program.
        feeds: Input name -> array.
        outputs: Names of the outputs to download.
        seconds: Time limit; at least three runs are done.
        runs: Largest number of runs.
    """
    program.reshape({name: array.shape for name, array in feeds.items()})
    marks = [gpu.event() for _ in range(4)]
    hosts = {name: gpu.pinned(_bytes(program, name)) for name in (*feeds, *outputs)}
    try:
        for name, array in feeds.items():
            values = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            hosts[name].bytes[: values.size] = values
        rows: list[tuple[float, float, float, float]] = []
        began = time.perf_counter()
        least = _WARMUP_RUNS + 3
        while len(rows) < least or (len(rows) < runs and time.perf_counter() - began < seconds):
            rows.append(_one(gpu, program, stream, hosts, (tuple(feeds), outputs), marks))
    finally:
        gpu.drain(stream)
        for mark in marks:
            gpu.release_event(mark)
        for host in hosts.values():
            gpu.release_pinned(host)
    return DeviceStages(*zip(*rows[_WARMUP_RUNS:], strict=True))


def _one(
    gpu: Gpu,
    program: Program,
    stream: GpuStream,
    hosts: dict[str, Pinned],
    names: tuple[Sequence[str], Sequence[str]],
    marks: list[Event],
) -> tuple[float, float, float, float]:
    fed, given = names
    gpu.record(marks[0], stream)
    for name in fed:
        gpu.copy(program.address(name), hosts[name].address, _bytes(program, name), stream)
    gpu.record(marks[1], stream)
    start = time.perf_counter()
    program.run()
    enqueued = time.perf_counter() - start
    gpu.record(marks[2], stream)
    for name in given:
        gpu.copy(hosts[name].address, program.address(name), _bytes(program, name), stream)
    gpu.record(marks[3], stream)
    gpu.wait(marks[3])
    parts = [gpu.elapsed_ms(marks[at], marks[at + 1]) for at in range(3)]
    return parts[0], parts[1], parts[2], enqueued * 1000


def _bytes(program: Program, name: str) -> int:
    return int(np.prod(program.shapes[name])) * program.type(name).itemsize
