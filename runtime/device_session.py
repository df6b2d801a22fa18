"""A whole network on a device, behind the `Session` protocol."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

from vsrc.runtime.errors import MismatchError
from vsrc.runtime.gpu import Engine, Gpu
from vsrc.runtime.graph_edges import from_graph, to_graph
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.program import Program
from vsrc.runtime.session import check_windows
from vsrc.runtime.sizes import pad_to_fit
from vsrc.runtime.spec import GraphSpec, NetworkSpec
from vsrc.runtime.started import PendingPixels
from vsrc.runtime.transfers import Transfers


class DeviceSession:
    """Engines of one network, each for a range of sizes; see `Session` and `StartedSession`."""

    ahead = 1
    """Windows that may be under way while the next one is brought; see `StartedSession`."""

    def __init__(
        self,
        gpu: Gpu,
        engines: Sequence[tuple[Engine, GraphSpec]],
        *,
        network: NetworkSpec,
        label: str,
    ) -> None:
        """Args: `engines` come with what they take: the sizes in their `GraphSpec` are theirs."""
        self.network, self.label = network, label
        self.graph = widest([graph for _, graph in engines])
        self._transfers: Transfers | None = Transfers(gpu)
        self._programs = [
            (Program(gpu, engine, self._transfers.network), graph) for engine, graph in engines
        ]
        self._shape: tuple[int, ...] = ()

    def __call__(self, lr: Pixels, /) -> Pixels:
        """Restore windows; see `Session`."""
        return self.start(lr)()

    def start(
        self, lr: Pixels, keys: Sequence[tuple[int, ...]] | None = None, *, place: Hashable = 0
    ) -> PendingPixels:
        """Begin to restore windows; see `StartedSession`."""
        del keys, place  # nothing is kept from window to window
        if self._transfers is None:
            raise RuntimeError("the session was closed")
        check_windows(lr, self.network, self.graph)
        height, width = lr.shape[2:4]
        program, graph = self._fitting(lr)
        least = (graph.height[0], graph.width[0])
        padded = pad_to_fit(lr, multiple=self.network.size_multiple, least=least)
        fed = to_graph(padded, graph)
        if fed.shape != self._shape:
            self._transfers.forget()
            self._shape = fed.shape
        program.reshape({"lr": fed.shape})
        self._transfers.upload(fed, program.address("lr"))
        program.run()
        pending = self._transfers.download(
            program.address("sr"), program.shapes["sr"], program.type("sr")
        )
        scale, like = self.network.scale, lr[:0]

        def result() -> Pixels:
            sr = from_graph(pending(), graph, like=like)
            return sr[..., : height * scale, : width * scale, :]

        return result

    def close(self) -> None:
        """Free the device."""
        if self._transfers is None:
            return
        self._transfers.drain()
        for program, _ in self._programs:
            program.close()
        self._transfers.close()
        self._transfers = None

    def _fitting(self, lr: Pixels) -> tuple[Program, GraphSpec]:
        """The engine that wastes least on frames of this size."""
        size = (lr.shape[0], *lr.shape[2:4])
        found = [
            (_most_pixels(graph), index)
            for index, (_, graph) in enumerate(self._programs)
            if all(one <= most for one, most in zip(size, most_of(graph), strict=True))
        ]
        if not found:
            sizes = "; ".join("x".join(map(str, most_of(graph))) for _, graph in self._programs)
            raise MismatchError(
                f"no engine takes {'x'.join(map(str, size))} (N, H, W; at most {sizes}); build one "
                "with a larger --shape, or use tiles"
            )
        return self._programs[min(found)[1]]


def most_of(graph: GraphSpec) -> tuple[int, int, int]:
    """Largest N, H and W that it takes."""
    return graph.batch[1], graph.height[1], graph.width[1]


def _most_pixels(graph: GraphSpec) -> int:
    batch, height, width = most_of(graph)
    return batch * height * width


def widest(graphs: Sequence[GraphSpec]) -> GraphSpec:
    """The first of them with the smallest and largest sizes of all."""

    def span(of_one: Sequence[tuple[int, int]]) -> tuple[int, int]:
        return min(low for low, _ in of_one), max(high for _, high in of_one)

    return replace(
        graphs[0],
        batch=span([graph.batch for graph in graphs]),
        height=span([graph.height for graph in graphs]),
        width=span([graph.width for graph in graphs]),
    )
