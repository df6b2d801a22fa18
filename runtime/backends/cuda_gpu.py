"""The `Gpu` protocol on CUDA, through cuda-bindings."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from vsrc.runtime.backends.gpu import Address, Event, GpuStream, Graph, Pinned
from vsrc.runtime.errors import DeviceMemoryError, VsrcError
from vsrc.runtime.sensors.cuda_device import CudaDevice, cuda_device

logger = logging.getLogger(__name__)


class CudaGpu:
    """CUDA device 0, shared by all threads of this process.

    Attributes:
        device: Name and compute capability of the device.
    """

    def __init__(self, device: CudaDevice | None = None) -> None:
        self.device = device or cuda_device()
        from cuda.bindings import runtime

        self._cuda: Any = runtime

    def allocate(self, size_bytes: int) -> Address:
        """See `Gpu`."""
        return Address(int(self._call("cudaMalloc", max(1, size_bytes))))

    def release(self, address: Address) -> None:
        """See `Gpu`; cudaFree synchronizes with the device."""
        self._call("cudaFree", address)

    def pinned(self, size_bytes: int) -> Pinned:
        """See `Gpu`."""
        size = max(1, size_bytes)
        address = int(self._call("cudaHostAlloc", size, self._cuda.cudaHostAllocDefault))
        memory = (ctypes.c_uint8 * size).from_address(address)
        return Pinned(Address(address), np.ctypeslib.as_array(memory))

    def release_pinned(self, memory: Pinned) -> None:
        """See `Gpu`."""
        self._call("cudaFreeHost", memory.address)

    def stream(self) -> GpuStream:
        """See `Gpu`; the stream does not synchronize with the default stream."""
        flags = self._cuda.cudaStreamNonBlocking
        return GpuStream(int(self._call("cudaStreamCreateWithFlags", flags)))

    def release_stream(self, stream: GpuStream) -> None:
        """See `Gpu`."""
        self._call("cudaStreamDestroy", stream)

    def event(self) -> Event:
        """See `Gpu`; timing is enabled, which costs well under a microsecond."""
        flags = self._cuda.cudaEventDefault
        return Event(int(self._call("cudaEventCreateWithFlags", flags)))

    def release_event(self, event: Event) -> None:
        """See `Gpu`."""
        self._call("cudaEventDestroy", event)

    def copy(self, target: Address, source: Address, size_bytes: int, stream: GpuStream) -> None:
        """See `Gpu`; CUDA infers the kinds of memory from the addresses."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDefault
        self._call("cudaMemcpyAsync", target, source, size_bytes, kind, stream)

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
        """See `Gpu`."""
        self._call("cudaStreamSynchronize", stream)

    def elapsed_ms(self, start: Event, stop: Event) -> float:
        """See `Gpu`."""
        return float(self._call("cudaEventElapsedTime", start, stop))

    def capture(self, stream: GpuStream, work: Callable[[], None]) -> Graph | None:
        """See `Gpu`; other threads of the process may allocate memory during the capture."""
        mode = self._cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", stream, mode)
        why, recorded = "", None
        try:
            work()
        except VsrcError as error:
            why = str(error)
        try:
            recorded = self._call("cudaStreamEndCapture", stream)
            if not why:
                return Graph(int(self._call("cudaGraphInstantiate", recorded, 0)))
        except VsrcError as error:
            why = why or str(error)
        finally:
            self._cuda.cudaGetLastError()  # clear the error of a failed capture
            if recorded is not None and int(recorded):
                self._call("cudaGraphDestroy", recorded)
        logger.info("no CUDA graph (%s); kernels are launched one by one", why)
        return None

    def launch(self, graph: Graph, stream: GpuStream) -> None:
        """See `Gpu`."""
        self._call("cudaGraphLaunch", graph, stream)

    def release_graph(self, graph: Graph) -> None:
        """See `Gpu`."""
        self._call("cudaGraphExecDestroy", graph)

    def _call(self, name: str, *arguments: Any) -> Any:  # noqa: ANN401  functions of CUDA
        failed, *given = getattr(self._cuda, name)(*arguments)
        if failed == self._cuda.cudaError_t.cudaSuccess:
            return given[0] if given else None
        words = f"{name} failed: {failed.name}"
        if failed == self._cuda.cudaError_t.cudaErrorMemoryAllocation:
            self._cuda.cudaGetLastError()
            raise DeviceMemoryError(f"{self.device.name} is out of memory ({words})")
        raise VsrcError(f"{self.device.name}: {words}")
