"""A whole network on a device, behind the `Session` protocol."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from vsrc.runtime.backends.device_programs import DevicePrograms
from vsrc.runtime.backends.device_stages import DeviceStages
from vsrc.runtime.backends.gpu import Engine, Gpu
from vsrc.runtime.backends.program import Program
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.spec import GraphSpec, NetworkSpec
from vsrc.runtime.windows.graph_io import from_graph, to_graph
from vsrc.runtime.windows.session import PendingPixels, check_windows


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
        self._device = DevicePrograms(gpu, engines)
        self.graph = self._device.graph

    def __call__(self, lr: Pixels, /) -> Pixels:
        """Upscale windows; see `Session`."""
        return self.start(lr)()

    def start(
        self, lr: Pixels, keys: Sequence[tuple[int, ...]] | None = None, *, place: Hashable = 0
    ) -> PendingPixels:
        """Start to upscale windows; see `StartedSession`."""
        del keys, place  # no features are kept between windows
        check_windows(lr, self.network, self.graph)
        program, graph = self._device.fitting(lr.shape[2], lr.shape[3])
        most = graph.batch[1]
        begun = [
            self._begun(program, graph, lr[first : first + most])
            for first in range(0, len(lr), most)
        ]
        if len(begun) == 1:
            return begun[0]
        return lambda: np.concatenate([pending() for pending in begun])

    def _begun(self, program: Program, graph: GraphSpec, lr: Pixels) -> PendingPixels:
        transfers = self._device.transfers
        fed = to_graph(lr, self.network, graph)
        self._device.prepare(program, {"lr": fed.shape})
        transfers.upload(fed, program.address("lr"))
        program.run()
        shape, kind = program.shapes["sr"], program.type("sr")
        pending = transfers.download(program.address("sr"), shape, kind)
        like = lr[:0].copy()  # shape and type, not the pixels
        return lambda: from_graph(pending(), self.network, graph, like=like)

    def stages(self, lr: Pixels, *, seconds: float) -> DeviceStages:
        """Time the stages of a window on the device without overlap; see `device_stages`."""
        program, graph = self._device.fitting(lr.shape[2], lr.shape[3])
        feeds = {"lr": to_graph(lr, self.network, graph)}
        return self._device.stages(program, feeds, seconds=seconds)

    def close(self) -> None:
        """Free all resources of the device."""
        self._device.close()
