"""Copy frames to a device and back, while the device computes.

    copies    U0    U1 ----- D0  U2 -- D1  U3           U upload to a stage, D download from one
    network      N0--------- N1------- N2-------        N the network, between its own copies from
                                                        and to the stages

The network reads and writes memory at fixed addresses (they are part of a CUDA graph). Data in
flight is in separate stages, two for each direction, so that window n + 1 is uploaded while window
n is computed and n - 1 is downloaded. A download is queued only after the uploads of the next
window, or when its result is needed: otherwise these uploads would wait for it, and it waits for
the network.

Dependencies:

    host writes pinned stage     until its last upload has left it               `arrived`
    copies: upload to stage      until the network has read what was in there    `read`
    network: copy from stage     until the upload is there                       `arrived`
    copies: download             until the network has written it                `made`
    host reads pinned stage      until the download is there                     `taken`

A download stage is reused only after the host has read it, so nothing else has to wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.backends.device.gpu import Address, Gpu, GpuStream, Pinned

T = TypeVar("T")

_STAGES = 2

Pending = Callable[[], NDArray[Any]]
"""Function that waits for a result and returns it; repeated calls return the same."""


class Transfers:
    """Copies to and from a device, ordered with the runs of its network.

    Attributes:
        network: Stream that the network runs on.
    """

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self._copies, self.network = gpu.stream(), gpu.stream()
        self._up: dict[int, list[_Upload]] = {}
        self._down: dict[int, list[_Download]] = {}
        self._due: list[_Download] = []

    def upload(self, array: NDArray[Any], target: Address) -> None:
        """Upload an array; work submitted to the network next finds it in `target`."""
        array = np.ascontiguousarray(array)
        stage = self._up_stage(array.nbytes)
        stage.send(array, target)

    def download(self, source: Address, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Pending:
        """Download `source` after all work submitted to the network so far."""
        self._send_due()
        size = int(np.prod(shape)) * dtype.itemsize
        stage = self._down_stage(size)
        pending = stage.make(source, shape, dtype)
        self._due.append(stage)

        def result() -> NDArray[Any]:
            if stage in self._due:
                self._send_due()
            return pending()

        return result

    def drain(self) -> None:
        """Wait until all work of the device is done."""
        self._send_due()
        self._gpu.drain(self.network)
        self._gpu.drain(self._copies)

    def forget(self) -> None:
        """Free all stages when the frame size changes; pending results are fetched first."""
        self.drain()
        for going in self._up.values():
            for memory in going:
                memory.release()
        for coming in self._down.values():
            for stage in coming:
                stage.release()
        self._up.clear()
        self._down.clear()

    def close(self) -> None:
        """Free all resources."""
        self.forget()
        for stream in (self._copies, self.network):
            self._gpu.release_stream(stream)

    def _send_due(self) -> None:
        for stage in self._due:
            stage.leave()
        self._due.clear()

    def _up_stage(self, size: int) -> _Upload:
        def make() -> _Upload:
            return _Upload(self._gpu, size, self._copies, self.network)

        return _least_recent(self._up.setdefault(size, []), make)

    def _down_stage(self, size: int) -> _Download:
        def make() -> _Download:
            return _Download(self._gpu, size, self._copies, self.network)

        return _least_recent(self._down.setdefault(size, []), make)


def _least_recent(stages: list[T], make: Callable[[], T]) -> T:
    """Return the least recently used stage of one size, or a new one."""
    stages.append(stages.pop(0) if len(stages) == _STAGES else make())
    return stages[-1]


class _Upload:
    """One stage for uploads; see the table above."""

    def __init__(self, gpu: Gpu, size_bytes: int, copies: GpuStream, network: GpuStream) -> None:
        self._gpu, self._size, self._copies, self._network = gpu, size_bytes, copies, network
        self._host, self._device = gpu.pinned(size_bytes), gpu.allocate(size_bytes)
        self._arrived, self._read = gpu.event(), gpu.event()

    def send(self, array: NDArray[Any], target: Address) -> None:
        gpu = self._gpu
        gpu.wait(self._arrived)  # the previous upload has left the pinned memory
        self._host.bytes[: self._size] = array.reshape(-1).view(np.uint8)
        gpu.hold(self._copies, self._read)
        gpu.copy(self._device, self._host.address, self._size, self._copies)
        gpu.record(self._arrived, self._copies)
        gpu.hold(self._network, self._arrived)
        gpu.copy(target, self._device, self._size, self._network)
        gpu.record(self._read, self._network)

    def release(self) -> None:
        _release(self._gpu, self._host, self._device)
        self._gpu.release_event(self._arrived)
        self._gpu.release_event(self._read)


class _Download:
    """One stage for downloads; see the table above."""

    def __init__(self, gpu: Gpu, size_bytes: int, copies: GpuStream, network: GpuStream) -> None:
        self._gpu, self._size, self._copies, self._network = gpu, size_bytes, copies, network
        self._host, self._device = gpu.pinned(size_bytes), gpu.allocate(size_bytes)
        self._made, self._taken = gpu.event(), gpu.event()
        self._unread: Pending | None = None

    def make(self, source: Address, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Pending:
        """Copy the output of the network to the stage; `leave` queues the download."""
        if self._unread is not None:
            self._unread()
        gpu = self._gpu
        gpu.copy(self._device, source, self._size, self._network)
        gpu.record(self._made, self._network)
        kept: list[NDArray[Any]] = []

        def result() -> NDArray[Any]:
            if not kept:
                gpu.wait(self._taken)
                kept.append(self._host.bytes[: self._size].copy().view(dtype).reshape(shape))
                self._unread = None
            return kept[0]

        self._unread = result
        return result

    def leave(self) -> None:
        """Queue the download after the copies queued so far."""
        self._gpu.hold(self._copies, self._made)
        self._gpu.copy(self._host.address, self._device, self._size, self._copies)
        self._gpu.record(self._taken, self._copies)

    def release(self) -> None:
        if self._unread is not None:
            self._unread()  # the result may still be requested
        _release(self._gpu, self._host, self._device)
        self._gpu.release_event(self._made)
        self._gpu.release_event(self._taken)


def _release(gpu: Gpu, host: Pinned, device: Address) -> None:
    gpu.release_pinned(host)
    gpu.release(device)
