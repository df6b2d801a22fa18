"""Names of graphs in a package, and the metadata key of their spec in an ONNX file."""

from __future__ import annotations

from vsrc.export.config import ExportConfig
from vsrc.runtime.spec import GraphIo, GraphRole, NetworkSpec, Precision

METADATA_KEY = "vsrc"
"""Key of the spec in the ONNX metadata, so that a graph runs without its package."""


def graph_name(
    precision: Precision,
    graph_io: GraphIo = "uint8",
    role: GraphRole = "whole",
    *,
    is_stacked: bool = False,
) -> str:
    """`fp32`, `encode-fp32`, `fuse-fp32`; with `-float` for float inputs and outputs.

    Args:
        precision: Precision of the graph.
        graph_io: Type of its inputs and outputs.
        role: Role of the graph.
        is_stacked: Whether several frames are stacked in the channels: `-stacked`.
    """
    ending = "stacked" if is_stacked else graph_io
    name = precision if graph_io == "uint8" else f"{precision}-{ending}"
    return name if role == "whole" else f"{role}-{name}"


def is_named_stacked(spec: NetworkSpec, config: ExportConfig) -> bool:
    """Whether several frames are stacked in the channels, which the name of the graph says."""
    return spec.window > 1 and config.layout_of(spec.window) == "stacked"
