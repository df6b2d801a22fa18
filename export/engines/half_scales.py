"""Name the way around int8 graphs with half scales, where TensorRT does not take them.

On SM 8.7 TensorRT 10.16 (Orin with JetPack 7.2) compiles no DequantizeLinear with half scales:
https://github.com/NVIDIA/TensorRT/issues/4832. TensorRT 8.6 does not parse them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vsrc.runtime.errors import VsrcError
from vsrc.runtime.package import Package, advised_export
from vsrc.runtime.spec import GraphSpec

_OPSET = 19
"""Operator set that int8 graphs have for half scales alone."""


@contextmanager
def advise_on_half_scales(package: Package, graph: GraphSpec) -> Iterator[None]:
    """Add the way around to errors of parsing, building or checking an int8 graph that has them."""
    try:
        yield
    except VsrcError as error:
        if graph.precision != "int8" or graph.opset < _OPSET:
            raise
        line = advised_export(package.path, "--precision int8 --int8-with fp32 --overwrite")
        raise type(error)(
            f"{error}. Not every GPU takes the half scales of this graph; one with float scales is "
            f"written on a machine with torch: {line}"
        ) from error
