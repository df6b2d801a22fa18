"""Which graph a result is of, and what ran it: every report names it first."""

from __future__ import annotations

from dataclasses import dataclass

from vsrc.runtime.schema import Sha256
from vsrc.runtime.windows.session import Session


@dataclass(frozen=True)
class GraphInUse:
    """A graph and what runs it.

    Attributes:
        backend: What runs it ("ort-cpu", "trt").
        precision: Arithmetic of the graph ("int8-cpu").
        file: Graph file, relative to the package; the encode graph where the network runs in two
            halves, and the ONNX graph that it was built from where an engine runs.
        sha256: Hash of that file.
    """

    backend: str
    precision: str
    file: str
    sha256: Sha256

    def __str__(self) -> str:
        return f"{self.backend} {self.precision} ({self.file})"


def graph_of(session: Session) -> GraphInUse:
    """The graph that a session runs."""
    graph = session.graph
    backend = session.label.split()[0]
    return GraphInUse(backend, graph.precision, graph.file, graph.sha256)
