"""The `Gpu` protocol on CUDA, through the runtime that is installed (`cuda_library.py`)."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from vsrc.runtime.backends.device.gpu import (
    Address,
    Event,
    GpuStream,
    Graph,
    Pinned,
    PitchedRows,
)
from vsrc.runtime.errors import DeviceMemoryError, VsrcError
from vsrc.runtime.sensors.cuda_device import CudaDevice, cuda_device
from vsrc.runtime.sensors.cuda_library import (
    CAPTURE_THREAD_LOCAL,
    COPY_DEFAULT,
    EVENT_BLOCKING_SYNC,
    HOST_ALLOC_DEFAULT,
    OUT_OF_MEMORY,
    STREAM_NON_BLOCKING,
    CudaError,
    load_cuda,
)

logger = logging.getLogger(__name__)


class CudaGpu:
    """A CUDA device, shared by all threads of this process.

    Attributes:
        device: The device.
    """

    def __init__(self, device: CudaDevice | None = None) -> None:
        self.device = device or cuda_device()
        self._cuda = load_cuda()

    def allocate(self, size_bytes: int) -> Address:
        """See `Gpu`."""
        return Address(int(self._call("cudaMalloc", max(1, size_bytes))))

    def release(self, address: Address) -> None:
        """See `Gpu`; cudaFree synchronizes with the device."""
        self._call("cudaFree", address)

    def pinned(self, size_bytes: int) -> Pinned:
        """See `Gpu`."""
        size = max(1, size_bytes)
        address = int(self._call("cudaHostAlloc", size, HOST_ALLOC_DEFAULT))
        memory = (ctypes.c_uint8 * size).from_address(address)
        return Pinned(Address(address), np.ctypeslib.as_array(memory))

    def release_pinned(self, memory: Pinned) -> None:
        """See `Gpu`."""
        self._call("cudaFreeHost", memory.address)

    def stream(self) -> GpuStream:
        """See `Gpu`; the stream does not synchronize with the default stream."""
        return GpuStream(int(self._call("cudaStreamCreateWithFlags", STREAM_NON_BLOCKING)))

    def release_stream(self, stream: GpuStream) -> None:
        """See `Gpu`."""
        self._call("cudaStreamDestroy", stream)

    def event(self) -> Event:
        """See `Gpu`; a thread that waits for it sleeps instead of occupying a core.

        Timing is enabled, which costs well under a microsecond.
        """
        return Event(int(self._call("cudaEventCreateWithFlags", EVENT_BLOCKING_SYNC)))

    def release_event(self, event: Event) -> None:
        """See `Gpu`."""
        self._call("cudaEventDestroy", event)

    def copy(self, target: Address, source: Address, size_bytes: int, stream: GpuStream) -> None:
        """See `Gpu`; CUDA infers the kinds of memory from the addresses."""
        self._call("cudaMemcpyAsync", target, source, size_bytes, COPY_DEFAULT, stream)

    def copy_rows(
        self,
        target: PitchedRows,
        source: PitchedRows,
        *,
        row_bytes: int,
        rows: int,
        stream: GpuStream,
    ) -> None:
        """See `Gpu`."""
        places = (target.address, target.pitch, source.address, source.pitch)
        self._call("cudaMemcpy2DAsync", *places, row_bytes, rows, COPY_DEFAULT, stream)

    def record(self, event: Event, stream: GpuStream) -> None:
        """See `Gpu`."""
        self._call("cudaEventRecord", event, stream)

    def hold(self, stream: GpuStream, event: Event) -> None:
        """See `Gpu`."""
        self._call("cudaStreamWaitEvent", stream, event, 0)

    def wait(self, event: Event) -> None:
        """See `Gpu`."""
        self._call("cudaEventSynchronize", event)

    def drain(self, stream: GpuStream) -> None:
        """See `Gpu`; by an event, since cudaStreamSynchronize occupies a core while it waits."""
        event = self.event()
        try:
            self.record(event, stream)
            self.wait(event)
        finally:
            self.release_event(event)

    def elapsed_ms(self, start: Event, stop: Event) -> float:
        """See `Gpu`."""
        return float(self._call("cudaEventElapsedTime", start, stop))

    def capture(self, stream: GpuStream, work: Callable[[], None]) -> Graph | None:
        """See `Gpu`; other threads of the process may allocate memory during the capture."""
        self._call("cudaStreamBeginCapture", stream, CAPTURE_THREAD_LOCAL)
        why, recorded = "", 0
        try:
            work()
        except VsrcError as error:
            why = str(error)
        try:
            recorded = int(self._call("cudaStreamEndCapture", stream))
            if not why:
                return Graph(int(self._call("cudaGraphInstantiateWithFlags", recorded, 0)))
        except VsrcError as error:
            why = why or str(error)
        finally:
            self._cuda.clear_error()  # of a failed capture
            if recorded:
                self._call("cudaGraphDestroy", recorded)
        logger.info("no CUDA graph (%s); kernels are launched one by one", why)
        return None

    def launch(self, graph: Graph, stream: GpuStream) -> None:
        """See `Gpu`."""
        self._call("cudaGraphLaunch", graph, stream)

    def release_graph(self, graph: Graph) -> None:
        """See `Gpu`."""
        self._call("cudaGraphExecDestroy", graph)

    def _call(self, name: str, *arguments: int) -> Any:  # noqa: ANN401  functions of CUDA
        try:
            self._cuda.select(self.device.index)
            return self._cuda.call(name, *arguments)
        except CudaError as error:
            if error.status == OUT_OF_MEMORY:
                self._cuda.clear_error()
                raise DeviceMemoryError(f"{self.device.name} is out of memory ({error})") from error
            raise VsrcError(f"{self.device.name}: {error}") from error
