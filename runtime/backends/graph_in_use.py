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
        precision: Precision in which it runs ("int8-cpu"): that of the graph, or bf16 on request.
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


def is_on_cores(label: str) -> bool:
    """Whether the session of a label runs on the cores of the CPU."""
    return label.split()[0] in ("ort-cpu", "openvino") or label.split()[0].endswith("/cpu")


def graph_of(session: Session) -> GraphInUse:
    """The graph that a session runs."""
    graph = session.graph
    backend = session.label.split()[0]
    return GraphInUse(backend, graph.precision, graph.file, graph.sha256)
