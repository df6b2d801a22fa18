"""A whole network on a device, behind the `Session` protocol."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np

from vsrc.runtime.backends.device_stages import DeviceStages, device_stages
from vsrc.runtime.backends.gpu import Engine, Gpu
from vsrc.runtime.backends.program import Program
from vsrc.runtime.backends.transfers import Transfers
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.spec import GraphSpec, NetworkSpec
from vsrc.runtime.windows.graph_io import from_graph, to_graph
from vsrc.runtime.windows.session import PendingPixels, check_windows

_ANY_NUMBER = 1 << 16
"""Largest batch of windows; it is split into as many runs as the engine requires."""


class DeviceSession:
    """Engines of one network, each for a range of sizes; see `Session` and `StartedSession`.

    Attributes:
        build_seconds: Time to build the engines; None where it was not recorded.
    """

    ahead, at_once = 1, 0
    """Number of windows in flight: one is uploaded while another runs; see `StartedSession`."""

    def __init__(
        self,
        gpu: Gpu,
        engines: Sequence[tuple[Engine, GraphSpec]],
        *,
        network: NetworkSpec,
        label: str,
        build_seconds: float | None = None,
    ) -> None:
        """Args: `engines` are pairs of an engine and the `GraphSpec` with its sizes."""
        self.network, self.label, self.build_seconds = network, label, build_seconds
        self._gpu = gpu
        self.graph = merge_ranges([graph for _, graph in engines])
        self._transfers: Transfers | None = Transfers(gpu)
        self._programs = [
            (Program(gpu, engine, self._transfers.network), graph) for engine, graph in engines
        ]
        self._shape: tuple[int, ...] = ()

    def __call__(self, lr: Pixels, /) -> Pixels:
        """Upscale windows; see `Session`."""
        return self.start(lr)()

    def start(
        self, lr: Pixels, keys: Sequence[tuple[int, ...]] | None = None, *, place: Hashable = 0
    ) -> PendingPixels:
        """Start to upscale windows; see `StartedSession`."""
        del keys, place  # no features are kept between windows
        if self._transfers is None:
            raise RuntimeError("the session was closed")
        check_windows(lr, self.network, self.graph)
        program, graph = self._fitting(lr.shape[2], lr.shape[3])
        most = graph.batch[1]
        begun = [
            self._begun(self._transfers, program, graph, lr[first : first + most])
            for first in range(0, len(lr), most)
        ]
        if len(begun) == 1:
            return begun[0]
        return lambda: np.concatenate([pending() for pending in begun])

    def _begun(
        self, transfers: Transfers, program: Program, graph: GraphSpec, lr: Pixels
    ) -> PendingPixels:
        fed = to_graph(lr, self.network, graph)
        if fed.shape != self._shape:
            transfers.forget()
            self._shape = fed.shape
        program.reshape({"lr": fed.shape})
        transfers.upload(fed, program.address("lr"))
        program.run()
        shape, kind = program.shapes["sr"], program.type("sr")
        pending = transfers.download(program.address("sr"), shape, kind)
        like = lr[:0].copy()  # shape and type, not the pixels
        return lambda: from_graph(pending(), self.network, graph, like=like)

    def stages(self, lr: Pixels, *, seconds: float) -> DeviceStages:
        """Time the stages of a window on the device without overlap; see `device_stages`."""
        if self._transfers is None:
            raise RuntimeError("the session was closed")
        program, graph = self._fitting(lr.shape[2], lr.shape[3])
        self._transfers.forget()
        feeds, stream = {"lr": to_graph(lr, self.network, graph)}, self._transfers.network
        return device_stages(self._gpu, program, stream, feeds, ("sr",), seconds=seconds)

    def close(self) -> None:
        """Free all resources of the device."""
        if self._transfers is None:
            return
        self._transfers.drain()
        for program, _ in self._programs:
            program.close()
        self._transfers.close()
        self._transfers = None

    def _fitting(self, height: int, width: int) -> tuple[Program, GraphSpec]:
        """Choose the engine with the least padding for frames of this size."""
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
