"""A whole network on a device, behind the `Session` protocol."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from vsrc.runtime.backends.device.device_network import DeviceNetwork
from vsrc.runtime.backends.device.device_stages import DeviceStages
from vsrc.runtime.backends.device.program import Program
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.spec import GraphSpec
from vsrc.runtime.windows.graph_io import padded_size, to_graph
from vsrc.runtime.windows.session import PendingPixels, check_windows


class DeviceSession(DeviceNetwork):
    """Engines of one network, each for a range of sizes; see `Session` and `AsyncSession`."""

    def __call__(self, lr: Pixels, /) -> Pixels:
        """Upscale windows; see `Session`."""
        return self.start(lr)()

    def start(
        self, lr: Pixels, keys: Sequence[tuple[int, ...]] | None = None, *, place: Hashable = 0
    ) -> PendingPixels:
        """Start to upscale windows; see `AsyncSession`."""
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

    def takes_unpadded(self, size: tuple[int, int]) -> bool:
        """Whether an engine takes frames of (H, W) as they are."""
        try:
            _, graph = self._device.fitting(*size)
        except MismatchError:
            return False
        least = (graph.height[0], graph.width[0])
        return padded_size(size, multiple=self.network.size_multiple, least=least) == size

    def prepare_window(self, size: tuple[int, int]) -> Program:
        """Return the program for one window of frames of (H, W), ready to run.

        Its `lr` is `(1, T, H, W, 3)` and its `sr` `(1, sH, sW, 3)`, both uint8.
        """
        program, _ = self._device.fitting(*size)
        self._device.prepare(program, {"lr": (1, self.network.window, *size, 3)})
        return program

    def _begun(self, program: Program, graph: GraphSpec, lr: Pixels) -> PendingPixels:
        transfers = self._device.transfers
        fed = to_graph(lr, self.network, graph)
        self._device.prepare(program, {"lr": fed.shape})
        transfers.upload(fed, program.address("lr"))
        return self._run(program, graph, lr)

    def stages(self, lr: Pixels, *, seconds: float) -> DeviceStages:
        """Time the stages of a window on the device without overlap; see `device_stages`."""
        program, graph = self._device.fitting(lr.shape[2], lr.shape[3])
        feeds = {"lr": to_graph(lr, self.network, graph)}
        return self._device.stages(program, feeds, seconds=seconds)
