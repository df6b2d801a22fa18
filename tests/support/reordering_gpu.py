"""A stand-in for a GPU, for machines without one: host memory, and nothing done before it must be.

It stands for the order of things only. Work given to a stream is kept, and done when somebody
waits, in an order drawn by chance among all that streams and events allow: where a wait is
missing, some draw reads what is not there yet, or overwrites what is still needed. New and freed
memory holds rubbish, and using freed memory is an error.
"""

from __future__ import annotations

import ctypes
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.backends.device.gpu import (
    Address,
    Event,
    GpuStream,
    Graph,
    Pinned,
    PitchedRows,
)
from vsrc.runtime.errors import DeviceMemoryError, MismatchError, VsrcError
from vsrc.runtime.sensors.cuda_device import CudaDevice

RUBBISH = 0xCD
ADA = CudaDevice(
    "NVIDIA GeForce RTX 4090", "8.9", 24 << 30, multiprocessors=128, total_bytes=24 << 30
)
"""The GPU that it stands for, to those who ask what engines are for."""

_TYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(float16)": np.float16}


@dataclass
class Mark:
    recorded: int = 0
    passed: int = 0


@dataclass
class Work:
    """One entry of a stream: it may run once `ready` says so."""

    do: Callable[[], None]
    ready: Callable[[], bool] = lambda: True
    name: str = ""


@dataclass
class ReorderingGpu:
    """See the module.

    Attributes:
        seed: Of the draws.
        deaf_to: Names of calls that are silently left out, to see that a test would notice.
        room_bytes: Memory that it has.
        records_graphs: Whether capturing works.
        done: Names of what was done, in order.
    """

    seed: int = 0
    deaf_to: frozenset[str] = frozenset()
    room_bytes: int = 1 << 30
    records_graphs: bool = True
    done: list[str] = field(default_factory=list)
    launches: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._memory: dict[int, NDArray[np.uint8]] = {}
        self._streams: dict[int, deque[Work]] = {}
        self._marks: dict[int, Mark] = {}
        self._graphs: dict[int, list[Work]] = {}
        self._recording: list[Work] | None = None
        self._next = 1

    @property
    def held_bytes(self) -> int:
        return sum(memory.size for memory in self._memory.values())

    @property
    def handles(self) -> int:
        """Streams, events and graphs that nobody gave back."""
        return len(self._streams) + len(self._marks) + len(self._graphs)

    def allocate(self, size_bytes: int) -> Address:
        assert self._recording is None, "CUDA allocates nothing while it records"
        if self.held_bytes + size_bytes > self.room_bytes:
            raise DeviceMemoryError("the stand-in has no memory left")
        memory = np.full(max(1, size_bytes), RUBBISH, np.uint8)
        self._memory[memory.ctypes.data] = memory
        return Address(memory.ctypes.data)

    def release(self, address: Address) -> None:
        for stream in self._streams:
            self.drain(GpuStream(stream))  # as cudaFree does
        self._memory.pop(address)[:] = RUBBISH

    def pinned(self, size_bytes: int) -> Pinned:
        address = self.allocate(size_bytes)
        return Pinned(address, self._memory[address])

    def release_pinned(self, memory: Pinned) -> None:
        self.release(memory.address)

    def stream(self) -> GpuStream:
        self._streams[self._new()] = deque()
        return GpuStream(self._next)

    def release_stream(self, stream: GpuStream) -> None:
        assert not self._streams.pop(stream)

    def event(self) -> Event:
        self._marks[self._new()] = Mark()
        return Event(self._next)

    def release_event(self, event: Event) -> None:
        del self._marks[event]

    def copy(self, target: Address, source: Address, size_bytes: int, stream: GpuStream) -> None:
        def do() -> None:
            self._check(source, size_bytes)
            self._check(target, size_bytes)
            ctypes.memmove(target, source, size_bytes)

        self.give(stream, Work(do, name="copy"))

    def copy_rows(
        self,
        target: PitchedRows,
        source: PitchedRows,
        *,
        row_bytes: int,
        rows: int,
        stream: GpuStream,
    ) -> None:
        for row in range(rows):
            to = Address(target.address + row * target.pitch)
            self.copy(to, Address(source.address + row * source.pitch), row_bytes, stream)

    def record(self, event: Event, stream: GpuStream) -> None:
        mark = self._marks[event]
        mark.recorded += 1
        number = mark.recorded

        def do() -> None:
            mark.passed = number

        self.give(stream, Work(do))

    def hold(self, stream: GpuStream, event: Event) -> None:
        mark = self._marks[event]
        number = mark.recorded
        if "hold" not in self.deaf_to:
            self.give(stream, Work(lambda: None, lambda: mark.passed >= number))

    def wait(self, event: Event) -> None:
        assert self._recording is None, "CUDA waits for nothing while it records"
        mark = self._marks[event]
        if "wait" not in self.deaf_to:
            self._until(lambda: mark.passed >= mark.recorded)

    def drain(self, stream: GpuStream) -> None:
        assert self._recording is None, "CUDA waits for nothing while it records"
        self._until(lambda: not self._streams[stream])

    def elapsed_ms(self, start: Event, stop: Event) -> float:
        assert self._marks[start].passed
        assert self._marks[stop].passed
        return 1.0

    def capture(self, stream: GpuStream, work: Callable[[], None]) -> Graph | None:
        del stream
        self._recording = []
        try:
            work()
        except VsrcError:
            return None
        finally:
            recorded, self._recording = self._recording, None
        if not self.records_graphs:
            return None
        self._graphs[self._new()] = recorded
        return Graph(self._next)

    def launch(self, graph: Graph, stream: GpuStream) -> None:
        self.launches += 1
        for work in self._graphs[graph]:
            self.give(stream, work)

    def release_graph(self, graph: Graph) -> None:
        del self._graphs[graph]

    def give(self, stream: GpuStream, work: Work) -> None:
        """Put work into a stream, or into the graph that is recorded."""
        if self._recording is not None:
            self._recording.append(work)
        else:
            self._streams[stream].append(work)

    def push(self) -> None:
        """Do what the streams can do but runs of networks."""
        for queue in self._streams.values():
            while queue and queue[0].ready() and queue[0].name != "network":
                work = queue.popleft()
                work.do()
                self.done.append(work.name)

    def read(self, address: Address, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """What lies there."""
        size = int(np.prod(shape)) * dtype.itemsize
        base, memory = self._check(address, size)
        return memory[address - base :][:size].view(dtype).reshape(shape)

    def _check(self, address: int, size: int) -> tuple[int, NDArray[np.uint8]]:
        for base, memory in self._memory.items():
            if base <= address and address + size <= base + memory.size:
                return base, memory
        raise AssertionError("memory was used that is not there, or no more")

    def _until(self, is_done: Callable[[], bool]) -> None:
        while not is_done():
            ready = [queue for queue in self._streams.values() if queue and queue[0].ready()]
            assert ready, "the streams wait for each other for ever"
            work = self._random.choice(ready).popleft()
            work.do()
            if work.name:
                self.done.append(work.name)

    def _new(self) -> int:
        self._next += 1
        return self._next


class HostEngine:
    """A graph in ONNX Runtime that reads and writes the memory of a `ReorderingGpu`."""

    def __init__(self, gpu: ReorderingGpu, path: Path, *, is_capturable: bool = True) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options)
        self._gpu = gpu
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._bound: dict[str, Address] = {}
        self.is_capturable = is_capturable
        self.closed = False
        self.runs = 0
        self.inputs = {one.name: _type(one) for one in self._session.get_inputs()}
        self.outputs = {one.name: _type(one) for one in self._session.get_outputs()}

    def reshape(self, shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        zeros = {name: np.zeros(shape, self.inputs[name]) for name, shape in shapes.items()}
        try:
            given = self._session.run(list(self.outputs), zeros)
        except Exception as error:  # ONNX Runtime's have no common base; TensorRT raises none
            raise MismatchError(f"the stand-in rejects {shapes}") from error
        made = {name: array.shape for name, array in zip(self.outputs, given, strict=True)}
        self._shapes = shapes | made
        return made

    def bind(self, name: str, address: Address) -> None:
        self._bound[name] = address

    def enqueue(self, stream: GpuStream) -> None:
        bound, shapes = dict(self._bound), dict(self._shapes)

        def do() -> None:
            self.runs += 1
            fed = {n: self._gpu.read(bound[n], shapes[n], t) for n, t in self.inputs.items()}
            given = self._session.run(list(self.outputs), fed)
            for (name, kind), array in zip(self.outputs.items(), given, strict=True):
                self._gpu.read(bound[name], shapes[name], kind)[...] = array

        self._gpu.give(stream, Work(do, name="network"))

    def close(self) -> None:
        self.closed = True


def _type(value: Any) -> np.dtype[Any]:  # noqa: ANN401  of ONNX Runtime, which has no types
    return np.dtype(_TYPES[value.type])
