"""What graphs are called in a package, and under which key their description travels in a file."""

from __future__ import annotations

from vsrc.runtime.spec import GraphIo, GraphRole, Precision

METADATA_KEY = "vsrc"
"""Key of the ONNX metadata under which the spec travels, so that a lone file also runs."""


def graph_name(precision: Precision, graph_io: GraphIo = "uint8", role: GraphRole = "whole") -> str:
    """`fp32`, `encode-fp32`, `fuse-fp32`; with `-float` where the edges are float tensors."""
    name = precision if graph_io == "uint8" else f"{precision}-{graph_io}"
    return name if role == "whole" else f"{role}-{name}"
