"""Memory of frames that an encoder reads on the device, used again when it has let go of them."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsrc.runtime.backends.device.gpu import Address, Event, Gpu, GpuStream, PitchedRows
from vsrc.runtime.errors import HardwareError, VsrcError
from vsrc.runtime.picture.device_planes import SAMPLE_BYTES, wrap_surface

if TYPE_CHECKING:
    import av
    from av.video.frame import CudaContext

_ALIGNMENT = 256
"""Divisor of the length of a row, bytes."""


class SurfacePool:
    """Surfaces of one size; those that the encoder holds are freed when it lets go of them.

    Attributes:
        pitch: Distance between rows, bytes.

    Args:
        gpu: The device.
        device: Its index.
        layout: FFmpeg's name of the pixel format.
        size: (H, W), even.
    """

    def __init__(self, gpu: Gpu, *, device: int, layout: str, size: tuple[int, int]) -> None:
        self._gpu, self.device, self.layout, self.size = gpu, device, layout, size
        row = size[1] * SAMPLE_BYTES[layout]
        self.pitch = -(-row // _ALIGNMENT) * _ALIGNMENT
        self._unused: list[_Memory] = []
        self._lent: set[_Memory] = set()  # to surfaces that no encoder has taken
        self._lock = threading.RLock()  # a frame may be freed by the collector, within `take`
        self._is_closed = False
        self._context: CudaContext | None = None

    def take(self) -> DeviceSurface:
        """Return a surface that nobody uses.

        Raises:
            DeviceMemoryError: There is no memory for another one.
        """
        with self._lock:
            memory = self._unused.pop() if self._unused else None
        if memory is None:
            height = self.size[0]
            size_bytes = self.pitch * (height + height // 2)
            memory = _Memory(self._gpu.allocate(size_bytes), self._gpu.event())
        with self._lock:
            self._lent.add(memory)
        return DeviceSurface(self._gpu, self, memory)

    def hand_over(self, memory: _Memory) -> None:
        """Note that the encoder takes memory, which it gives back by `release`."""
        with self._lock:
            self._lent.remove(memory)

    def release(self, memory: _Memory) -> None:
        """Take memory back; called on any thread."""
        with self._lock:
            if not self._is_closed:
                self._lent.discard(memory)
                self._unused.append(memory)
                return
            is_free = memory in self._lent
        if not is_free:
            with suppress(VsrcError):  # the process may be about to end
                self._free(memory)

    def close(self) -> None:
        """Free the memory; what the encoder holds is freed when it lets go of it."""
        with self._lock:
            self._is_closed = True
            held_by_none = [*self._unused, *self._lent]
            self._unused.clear()
        for memory in held_by_none:
            self._free(memory)

    def context(self) -> CudaContext | None:
        """Return PyAV's context of the device, which is that of the CUDA runtime.

        Raises:
            HardwareError: This PyAV has none.
        """
        if self._context is None:
            try:
                from av.video.frame import CudaContext
            except ImportError as error:
                raise HardwareError("this PyAV does not take frames of a GPU") from error
            self._context = CudaContext(self.device)
        return self._context

    def _free(self, memory: _Memory) -> None:
        self._gpu.release(memory.address)
        self._gpu.release_event(memory.written)


@dataclass(frozen=True)
class _Memory:
    """Memory of one surface: Y, and right behind it U and V.

    Attributes:
        address: Address of Y.
        written: Event behind what writes it.
    """

    address: Address
    written: Event


class DeviceSurface:
    """A frame for the encoder; see `Surface`. One that is never taken goes back to its pool."""

    def __init__(self, gpu: Gpu, pool: SurfacePool, memory: _Memory) -> None:
        self._gpu, self._pool, self._memory = gpu, pool, memory
        self._is_taken = False

    def write(self, y: Address, uv: Address, stream: GpuStream) -> None:
        """Copy both planes, which have no padding, in stream order."""
        height, width = self._pool.size
        row, pitch = width * SAMPLE_BYTES[self._pool.layout], self._pool.pitch
        place = self._memory.address
        for source, rows in ((y, height), (uv, height // 2)):
            target = PitchedRows(place, pitch)
            origin = PitchedRows(source, row)
            self._gpu.copy_rows(target, origin, row_bytes=row, rows=rows, stream=stream)
            place = Address(place + pitch * height)
        self._gpu.record(self._memory.written, stream)

    def frame(self) -> av.VideoFrame:
        """See `Surface`; waits until it has been written."""
        assert not self._is_taken
        memory, pool = self._memory, self._pool
        self._gpu.wait(memory.written)
        context = pool.context()
        pool.hand_over(memory)
        self._is_taken = True
        return wrap_surface(
            memory.address,
            pitch=pool.pitch,
            size=pool.size,
            layout=pool.layout,
            device=pool.device,
            context=context,
            release=lambda: pool.release(memory),
        )

    def __del__(self) -> None:
        if not self._is_taken:
            self._pool.release(self._memory)
