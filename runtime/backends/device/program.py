"""A network on a device, prepared for frames of one size: tensors and captured graph."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from vsrc.runtime.backends.device.gpu import Address, Engine, Gpu, GpuStream, Graph

TensorShapes = dict[str, tuple[int, ...]]

_MOST_GRAPHS = 64
"""Graphs kept by one program; a feature ring has fewer places."""


class Program:
    """Runs an engine repeatedly.

    The first run with new shapes lets TensorRT initialize for them, the second is captured as a
    graph, and later runs launch the graph: hundreds of kernels in one launch. A graph holds the
    addresses of its tensors, so there is one for each place of the caller's tensors (the slots of a
    feature ring, some dozens). If capture is not possible, runs are enqueued kernel by kernel.

    Attributes:
        shapes: Tensor name -> current shape.
    """

    def __init__(
        self, gpu: Gpu, engine: Engine, stream: GpuStream, *, outside: Collection[str] = ()
    ) -> None:
        """Args: `outside` names tensors in memory of the caller, whose addresses change."""
        self._gpu, self._engine, self._stream = gpu, engine, stream
        self._outside = outside
        self._memory: dict[str, Address] = {}
        self._bound: dict[str, Address] = {}
        self._graphs: dict[tuple[Address, ...], Graph] = {}
        self._capture_failed = False
        self._runs = 0
        self.shapes: TensorShapes = {}

    def reshape(self, inputs: TensorShapes) -> None:
        """Allocate tensors for inputs of these shapes; no effect if they have not changed.

        Raises:
            MismatchError: The engine was not built for them.
            DeviceMemoryError: There is not enough memory.
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
        """Address of a tensor; constant until the shapes change."""
        return self._memory[name]

    def takes(self, name: str) -> bool:
        """Whether the engine has an input of this name."""
        return name in self._engine.inputs

    def type(self, name: str) -> np.dtype[Any]:
        """Return the dtype of a tensor."""
        return (self._engine.inputs | self._engine.outputs)[name]

    def bind(self, name: str, address: Address) -> None:
        """Set the address of an `outside` tensor for the next runs."""
        self._bound[name] = address
        self._engine.bind(name, address)

    def run(self) -> None:
        """Enqueue one run on the stream."""
        place = tuple(self._bound[name] for name in sorted(self._bound))
        if place not in self._graphs and self._can_capture() and self._runs > 0:
            self._capture(place)
        self._runs += 1
        if place in self._graphs:
            self._gpu.launch(self._graphs[place], self._stream)
        else:
            self._enqueue()

    def close(self) -> None:
        """Free all resources."""
        self._clear()
        self._engine.close()

    def _can_capture(self) -> bool:
        return self._engine.is_capturable and not self._capture_failed

    def _capture(self, place: tuple[Address, ...]) -> None:
        if len(self._graphs) == _MOST_GRAPHS:
            return  # of the rings of many tiles: capturing anew takes longer than it saves
        graph = self._gpu.capture(self._stream, self._enqueue)
        self._capture_failed = graph is None  # what failed once is not tried at every run
        if graph is not None:
            self._graphs[place] = graph

    def _enqueue(self) -> None:
        self._engine.enqueue(self._stream)

    def _clear(self) -> None:
        self._gpu.drain(self._stream)
        for graph in self._graphs.values():
            self._gpu.release_graph(graph)
        for address in self._memory.values():
            self._gpu.release(address)
        self._memory, self._graphs, self._runs, self.shapes = {}, {}, 0, {}
        self._capture_failed = False
