"""The GPU functions that vsrc uses: memory, copies, streams, events and graphs.

All code that schedules work on a device uses this protocol, so that the order of operations can be
tested without a device (tests/support/reordering_gpu.py). `cuda_gpu.py` is the implementation.

A stream executes operations in the order of submission, asynchronously to the host; operations of
two streams are ordered only by events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NewType, Protocol

import numpy as np
from numpy.typing import NDArray

Address = NewType("Address", int)
"""Address in device memory, or in pinned host memory."""
GpuStream = NewType("GpuStream", int)
Event = NewType("Event", int)
Graph = NewType("Graph", int)
"""A captured graph, launched as a whole."""

DEFAULT_STREAM = GpuStream(0)
"""Stream that other libraries, such as FFmpeg, use where they are given none."""


@dataclass(frozen=True, eq=False)
class Pinned:
    """Pinned (page-locked) host memory, for asynchronous copies.

    Attributes:
        address: Address of the first byte.
        bytes: The same memory as an array, `(size,)` uint8.
    """

    address: Address
    bytes: NDArray[np.uint8]


@dataclass(frozen=True)
class PitchedRows:
    """Rows of samples in device memory.

    Attributes:
        address: Address of the first row.
        pitch: Distance between the beginnings of two rows, bytes.
    """

    address: Address
    pitch: int


class Gpu(Protocol):
    """One device. Calls are asynchronous unless documented otherwise."""

    def allocate(self, size_bytes: int) -> Address:
        """Allocate device memory.

        Raises:
            DeviceMemoryError: There is not enough.
        """

    def release(self, address: Address) -> None:
        """Free device memory; waits until it is no longer in use."""

    def pinned(self, size_bytes: int) -> Pinned:
        """Allocate pinned host memory.

        Raises:
            DeviceMemoryError: There is not enough.
        """

    def release_pinned(self, memory: Pinned) -> None:
        """Free pinned memory; its array must not be used afterwards."""

    def stream(self) -> GpuStream:
        """Create a stream."""

    def release_stream(self, stream: GpuStream) -> None:
        """Destroy a stream."""

    def event(self) -> Event:
        """Create an event; before it is recorded it counts as completed."""

    def release_event(self, event: Event) -> None:
        """Destroy an event."""

    def copy(self, target: Address, source: Address, size_bytes: int, stream: GpuStream) -> None:
        """Copy between device and pinned memory in any direction, in stream order."""

    def copy_rows(
        self,
        target: PitchedRows,
        source: PitchedRows,
        *,
        row_bytes: int,
        rows: int,
        stream: GpuStream,
    ) -> None:
        """Copy the first `row_bytes` of each row, in stream order."""

    def record(self, event: Event, stream: GpuStream) -> None:
        """Record the event after all work submitted to the stream so far."""

    def hold(self, stream: GpuStream, event: Event) -> None:
        """Make later work of the stream wait for the event."""

    def wait(self, event: Event) -> None:
        """Block the host until the event has completed."""

    def drain(self, stream: GpuStream) -> None:
        """Block the host until all work of the stream has completed."""

    def elapsed_ms(self, start: Event, stop: Event) -> float:
        """Time on the device between two completed events, ms."""

    def capture(self, stream: GpuStream, work: Callable[[], None]) -> Graph | None:
        """Capture the work that `work` submits, without running it; None if not possible."""

    def launch(self, graph: Graph, stream: GpuStream) -> None:
        """Launch a captured graph."""

    def release_graph(self, graph: Graph) -> None:
        """Destroy a graph."""


class Engine(Protocol):
    """A network on a device, with named tensors."""

    @property
    def inputs(self) -> dict[str, np.dtype[Any]]:
        """Input name -> dtype."""

    @property
    def outputs(self) -> dict[str, np.dtype[Any]]:
        """Output name -> dtype."""

    @property
    def is_capturable(self) -> bool:
        """Whether its runs can be captured as a graph."""

    def reshape(self, shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """Set the shapes of all inputs; return those of the outputs.

        Raises:
            MismatchError: The engine was not built for them.
        """

    def bind(self, name: str, address: Address) -> None:
        """Set the address of a tensor."""

    def enqueue(self, stream: GpuStream) -> None:
        """Enqueue one run on the stream.

        Raises:
            VsrcError: The run could not be enqueued.
        """

    def close(self) -> None:
        """Free all resources; a second call has no effect."""
