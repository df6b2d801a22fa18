"""What the sessions of a whole network on a device have in common."""

from __future__ import annotations

from collections.abc import Sequence

from vsrc.runtime.backends.device.device_programs import DevicePrograms
from vsrc.runtime.backends.device.gpu import Engine, Gpu
from vsrc.runtime.backends.device.program import Program
from vsrc.runtime.backends.device.transfers import Transfers
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.spec import GraphSpec, NetworkSpec
from vsrc.runtime.windows.graph_io import from_graph
from vsrc.runtime.windows.session import PendingPixels


class DeviceNetwork:
    """Engines of one network, each for a range of sizes.

    Attributes:
        build_seconds: Time to build the engines; None where it was not recorded.
    """

    ahead, at_once = 1, 0
    """Number of windows in flight: one is uploaded while another runs; see `AsyncSession`."""

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

    @property
    def gpu(self) -> Gpu:
        """Device that it runs on."""
        return self._device.gpu

    @property
    def transfers(self) -> Transfers:
        """Copies to and from the device, and the stream of the network."""
        return self._device.transfers

    def close(self) -> None:
        """Free all resources of the device."""
        self._device.close()

    def _run(self, program: Program, graph: GraphSpec, lr: Pixels) -> PendingPixels:
        """Run an engine whose inputs are being uploaded; returns a function that waits for it."""
        program.run()
        shape, kind = program.shapes["sr"], program.type("sr")
        pending = self._device.transfers.download(program.address("sr"), shape, kind)
        like = lr[:0].copy()  # shape and type, not the pixels
        return lambda: from_graph(pending(), self.network, graph, like=like)
