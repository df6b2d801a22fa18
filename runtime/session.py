"""One way to run a package, whatever runs it underneath."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.spec import GraphSpec, NetworkSpec

if TYPE_CHECKING:
    from vsrc.runtime.package import Package


class Session(Protocol):
    """A network ready to run.

    Attributes:
        label: What runs it, for people ("ort-cpu fp32").
        network: What the outside must know to feed it.
        graph: The graph that runs.
    """

    label: str
    network: NetworkSpec
    graph: GraphSpec

    def __call__(self, lr: NDArray[np.uint8], /) -> NDArray[np.uint8]:
        """Restore one batch of windows.

        Args:
            lr: `(N, T, H, W, 3)` uint8 RGB, any H and W; padded and cropped as the network needs.

        Returns:
            `(N, sH, sW, 3)` uint8 RGB; `(N, T', sH, sW, 3)` when time_scale is 2.
        """

    def close(self) -> None:
        """Free what it holds; calling it twice does nothing."""


BACKENDS = ("auto", "ort")


def open_session(
    package: Package, *, backend: str = "auto", precision: str = "auto", threads: int = 0
) -> Session:
    """Open a package on a backend.

    Args:
        package: An opened package.
        backend: One of `BACKENDS`; `auto` takes the fastest that is there.
        precision: Name of the graph; `auto` takes fp32.
        threads: CPU threads, 0 for as many as there are cores.

    Raises:
        SpecError: The package lacks the graph, or it is damaged.
        MissingDependencyError: The backend is not installed or did not load.
        ValueError: No such backend.
    """
    from vsrc.runtime.ort import OrtSession

    if backend not in BACKENDS:
        raise ValueError(f"{backend=} is not known; there are: {', '.join(BACKENDS)}")
    path, graph = package.graph("fp32" if precision == "auto" else precision)
    return OrtSession(path, network=package.spec.network, graph=graph, threads=threads)
