"""A network on a device, ready for frames of one size: its memory and its recorded run."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from vsrc.runtime.backends.gpu import Address, Engine, Gpu, GpuStream, Graph

TensorShapes = dict[str, tuple[int, ...]]


class Program:
    """Runs an engine again and again.

    The first run with new shapes lets TensorRT settle for them, the second is recorded as a graph,
    and from there on the graph is launched: hundreds of kernels for the price of one. Where nothing
    can be recorded, or where tensors move, every run is given to the stream kernel by kernel.

    Attributes:
        shapes: Of all tensors, as they are now.
    """

    def __init__(
        self, gpu: Gpu, engine: Engine, stream: GpuStream, *, outside: Collection[str] = ()
    ) -> None:
        """Args: `outside` names tensors that lie in memory of somebody else, and move."""
        self._gpu, self._engine, self._stream = gpu, engine, stream
        self._outside = outside
        self._memory: dict[str, Address] = {}
        self._graph: Graph | None = None
        self._runs = 0
        self.shapes: TensorShapes = {}

    def reshape(self, inputs: TensorShapes) -> None:
        """Make ready for inputs of these shapes; nothing is done if they are as before.

        Raises:
            MismatchError: The engine was not built for them.
            DeviceMemoryError: There is no room.
        """
        if inputs.items() <= self.shapes.items():
            return
        self._clear()
        shapes = inputs | self._engine.reshape(inputs)
        for name, shape in shapes.items():
            if name not in self._outside:
                size = int(np.prod(shape)) * self.type(name).itemsize
                self._memory[name] = self._gpu.allocate(size)
                self._engine.bind(name, self._memory[name])
        self.shapes = shapes

    def address(self, name: str) -> Address:
        """Where a tensor lies; it stays there until the shapes change."""
        return self._memory[name]

    def takes(self, name: str) -> bool:
        """Whether it has an input of that name."""
        return name in self._engine.inputs

    def type(self, name: str) -> np.dtype[Any]:
        """Of the values of a tensor."""
        return (self._engine.inputs | self._engine.outputs)[name]

    def bind(self, name: str, address: Address) -> None:
        """Say where a tensor that is `outside` lies in the next run."""
        self._engine.bind(name, address)

    def run(self) -> None:
        """Run once, in the order of the stream."""
        if self._graph is not None:
            self._gpu.launch(self._graph, self._stream)
            return
        can_record = self._engine.is_capturable and not self._outside
        if can_record and self._runs == 1:
            self._graph = self._gpu.capture(self._stream, self._enqueue)
        self._runs += 1
        if self._graph is not None:
            self._gpu.launch(self._graph, self._stream)
        else:
            self._enqueue()

    def close(self) -> None:
        """Free everything."""
        self._clear()
        self._engine.close()

    def _enqueue(self) -> None:
        self._engine.enqueue(self._stream)

    def _clear(self) -> None:
        self._gpu.drain(self._stream)
        if self._graph is not None:
            self._gpu.release_graph(self._graph)
        for address in self._memory.values():
            self._gpu.release(address)
        self._memory, self._graph, self._runs, self.shapes = {}, None, 0, {}
