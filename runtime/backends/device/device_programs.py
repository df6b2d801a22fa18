"""Engines of one network on a device, each for a range of sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from vsrc.runtime.backends.device.device_stages import DeviceStages, device_stages
from vsrc.runtime.backends.device.gpu import Engine, Gpu
from vsrc.runtime.backends.device.program import Program, TensorShapes
from vsrc.runtime.backends.device.transfers import Transfers
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.spec import GraphSpec

_ANY_NUMBER = 1 << 16
"""Largest batch of windows; it is split into as many runs as the engine requires."""


class DevicePrograms:
    """The programs of a network on one device, and the copies to and from it.

    Attributes:
        gpu: The device.
        graph: Graph of the engines, with the smallest and largest sizes of all.
    """

    def __init__(self, gpu: Gpu, engines: Sequence[tuple[Engine, GraphSpec]]) -> None:
        """Args: `engines` are pairs of an engine and the `GraphSpec` with its sizes."""
        self.gpu = gpu
        self.graph = merge_ranges([graph for _, graph in engines])
        self._transfers: Transfers | None = Transfers(gpu)
        self._programs = [
            (Program(gpu, engine, self._transfers.network), graph) for engine, graph in engines
        ]
        self._shape: tuple[int, ...] = ()

    @property
    def transfers(self) -> Transfers:
        """Copies to and from the device.

        Raises:
            RuntimeError: The session was closed.
        """
        if self._transfers is None:
            raise RuntimeError("the session was closed")
        return self._transfers

    def fitting(self, height: int, width: int) -> tuple[Program, GraphSpec]:
        """Choose the engine with the least padding for frames of this size.

        Raises:
            MismatchError: No engine takes them.
        """
        fitting = [
            (graph.height[1] * graph.width[1], index)
            for index, (_, graph) in enumerate(self._programs)
            if height <= graph.height[1] and width <= graph.width[1]
        ]
        if not fitting:
            sizes = ", ".join(f"{size.height[1]}x{size.width[1]}" for _, size in self._programs)
            raise MismatchError(
                f"no engine takes {height}x{width} (at most {sizes}); build one with a larger "
                "--shape, or use tiles"
            )
        return self._programs[min(fitting)[1]]

    def prepare(self, program: Program, inputs: TensorShapes) -> None:
        """Allocate tensors for inputs of these shapes, if they are others than before."""
        if inputs["lr"] != self._shape:
            self.transfers.forget()
            self._shape = inputs["lr"]
        program.reshape(inputs)

    def stages(
        self, program: Program, feeds: dict[str, NDArray[Any]], *, seconds: float
    ) -> DeviceStages:
        """Time the stages of a window on the device without overlap; see `device_stages`."""
        self.transfers.forget()
        stream = self.transfers.network
        return device_stages(self.gpu, program, stream, feeds, ("sr",), seconds=seconds)

    def close(self) -> None:
        """Free all resources of the device; a second call does nothing."""
        if self._transfers is None:
            return
        self._transfers.drain()
        for program, _ in self._programs:
            program.close()
        self._transfers.close()
        self._transfers = None


def merge_ranges(graphs: Sequence[GraphSpec]) -> GraphSpec:
    """Return the first spec with the smallest and largest sizes of all, for any batch size."""

    def span(of_one: Sequence[tuple[int, int]]) -> tuple[int, int]:
        return min(low for low, _ in of_one), max(high for _, high in of_one)

    return replace(
        graphs[0],
        batch=(1, _ANY_NUMBER),
        height=span([graph.height for graph in graphs]),
        width=span([graph.width for graph in graphs]),
    )
