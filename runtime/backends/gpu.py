"""What vsrc asks of a GPU: memory, copies, streams, events and graphs, and nothing else.

Everything that decides in which order a device works is written against this protocol, so that the
order can be tested where there is no device (tests/support/reordering_gpu.py). `cuda_gpu.py` is
the real one.

A stream does what it is given in the order in which it is given, while the host goes on; two
streams know nothing of each other but what events tell them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NewType, Protocol

import numpy as np
from numpy.typing import NDArray

Address = NewType("Address", int)
"""Of memory on the device, or of pinned memory of the host."""
GpuStream = NewType("GpuStream", int)
Event = NewType("Event", int)
Graph = NewType("Graph", int)
"""A recorded run that is launched as one."""


@dataclass(frozen=True, eq=False)
class Pinned:
    """Memory of the host that the device copies from and to by itself.

    Attributes:
        address: Where it begins.
        bytes: The same memory as an array, `(size,)` uint8.
    """

    address: Address
    bytes: NDArray[np.uint8]


class Gpu(Protocol):
    """One device. Calls return at once unless they say that they wait."""

    def allocate(self, size_bytes: int) -> Address:
        """Memory on the device.

        Raises:
            DeviceMemoryError: There is not enough.
        """

    def release(self, address: Address) -> None:
        """Give memory back; waits until nothing uses it."""

    def pinned(self, size_bytes: int) -> Pinned:
        """Memory of the host for copies.

        Raises:
            DeviceMemoryError: There is not enough.
        """

    def release_pinned(self, memory: Pinned) -> None:
        """Give it back; its array must not be used any more."""

    def stream(self) -> GpuStream:
        """A queue of work."""

    def release_stream(self, stream: GpuStream) -> None:
        """Give it back."""

    def event(self) -> Event:
        """A mark in a stream; as long as it was not recorded it counts as passed."""

    def release_event(self, event: Event) -> None:
        """Give it back."""

    def copy(self, target: Address, source: Address, size_bytes: int, stream: GpuStream) -> None:
        """Copy between any two memories, in the order of the stream."""

    def record(self, event: Event, stream: GpuStream) -> None:
        """Put the mark behind all that the stream was given."""

    def hold(self, stream: GpuStream, event: Event) -> None:
        """Let the stream wait there until the mark was passed."""

    def wait(self, event: Event) -> None:
        """Wait until the mark was passed."""

    def drain(self, stream: GpuStream) -> None:
        """Wait until the stream has done all that it was given."""

    def elapsed_ms(self, start: Event, stop: Event) -> float:
        """Time on the device between two marks that were passed, ms."""

    def capture(self, stream: GpuStream, work: Callable[[], None]) -> Graph | None:
        """Record what `work` gives the stream instead of doing it; None where that cannot be."""

    def launch(self, graph: Graph, stream: GpuStream) -> None:
        """Do what was recorded."""

    def release_graph(self, graph: Graph) -> None:
        """Give it back."""


class Engine(Protocol):
    """A network on a device, with tensors that are known by name.

    Attributes:
        inputs: Names and types of what it is fed.
        outputs: Names and types of what it gives.
        is_capturable: Whether its runs can be recorded as a graph.
    """

    inputs: dict[str, np.dtype[Any]]
    outputs: dict[str, np.dtype[Any]]
    is_capturable: bool

    def reshape(self, shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """Tell it the shapes of all inputs; returns those of the outputs.

        Raises:
            MismatchError: It was not built for them.
        """

    def bind(self, name: str, address: Address) -> None:
        """Say where a tensor lies."""

    def enqueue(self, stream: GpuStream) -> None:
        """Run once, in the order of the stream.

        Raises:
            VsrcError: The device refused.
        """

    def close(self) -> None:
        """Free it; calling it twice does nothing."""
