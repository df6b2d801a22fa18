"""Step 2: memory, copies, events and CUDA graphs, without TensorRT."""

from __future__ import annotations

import numpy as np

from vsrc.export.selftest.context import Context
from vsrc.runtime.backends.device.cuda_gpu import CudaGpu
from vsrc.runtime.errors import DeviceMemoryError, VsrcError
from vsrc.runtime.sensors.cuda_device import cuda_device

_BYTES = 4 << 20


def try_memory(context: Context) -> None:
    """Try each kind of call that sessions make."""
    gpu = CudaGpu(cuda_device(context.device))
    with context.attempt("copies") as said:
        said.append(f"{_BYTES >> 20} MiB copied to the device and back, equal")
        _copies(gpu)
    with context.attempt("events") as said:
        said.append(f"{_events(gpu):.3f} ms between two events around a copy")
    with context.attempt("capture and replay"):
        _capture(gpu)
    with context.attempt("a request larger than all memory") as said:
        said.append(_too_much(gpu))


def _copies(gpu: CudaGpu) -> None:
    stream, memory = gpu.stream(), gpu.allocate(_BYTES)
    there, back = gpu.pinned(_BYTES), gpu.pinned(_BYTES)
    there.bytes[:] = np.random.default_rng(0).integers(0, 256, _BYTES, dtype=np.uint8)
    gpu.copy(memory, there.address, _BYTES, stream)
    gpu.copy(back.address, memory, _BYTES, stream)
    gpu.drain(stream)
    equal = np.array_equal(there.bytes, back.bytes)
    for pinned in (there, back):
        gpu.release_pinned(pinned)
    gpu.release(memory)
    gpu.release_stream(stream)
    if not equal:
        raise VsrcError("what came back differs from what was sent")


def _events(gpu: CudaGpu) -> float:
    first, second, memory = gpu.stream(), gpu.stream(), gpu.allocate(_BYTES)
    host, start, stop = gpu.pinned(_BYTES), gpu.event(), gpu.event()
    gpu.record(start, first)
    gpu.copy(memory, host.address, _BYTES, first)
    gpu.record(stop, first)
    gpu.hold(second, stop)
    gpu.copy(host.address, memory, _BYTES, second)
    gpu.drain(second)
    elapsed = gpu.elapsed_ms(start, stop)
    for event in (start, stop):
        gpu.release_event(event)
    gpu.release_pinned(host)
    gpu.release(memory)
    for stream in (first, second):
        gpu.release_stream(stream)
    if not 0 < elapsed < 10_000:
        raise VsrcError(f"{elapsed} ms between two events")
    return elapsed


def _capture(gpu: CudaGpu) -> None:
    """A graph of a copy reads what lies there when it is launched, not when it was captured."""
    stream, memory, host = gpu.stream(), gpu.allocate(8), gpu.pinned(8)
    host.bytes[:] = 1
    graph = gpu.capture(stream, lambda: gpu.copy(memory, host.address, 8, stream))
    if graph is None:
        raise VsrcError("a copy cannot be captured")
    found = []
    for value in (2, 3):
        host.bytes[:] = value
        gpu.launch(graph, stream)
        gpu.drain(stream)
        host.bytes[:] = 0
        gpu.copy(host.address, memory, 8, stream)
        gpu.drain(stream)
        found.append(int(host.bytes[0]))
    gpu.release_graph(graph)
    gpu.release_pinned(host)
    gpu.release(memory)
    gpu.release_stream(stream)
    if found != [2, 3]:
        raise VsrcError(f"replays copied {found}, not [2, 3]")


def _too_much(gpu: CudaGpu) -> str:
    size = 4 * max(gpu.device.total_bytes, 1 << 30)
    try:
        gpu.release(gpu.allocate(size))
    except DeviceMemoryError as error:
        _copies(gpu)  # the device can be used as before
        return f"{size / 2**30:.0f} GiB refused, and the device works: {error}"
    raise VsrcError(f"{size / 2**30:.0f} GiB were granted, of {gpu.device.total_bytes / 2**30:.0f}")
