"""Feed the graphs of matrices in runtime/assets/ (benchmarks/rate_graphs.py), and time them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.latency.rates import MATMUL_GRAPH, time_fastest

Matrices = dict[str, NDArray[Any]]
RunMatrices = Callable[[Matrices], object]
"""Runs a graph with these inputs, and waits for the result."""

LINKS = 16
"""Number of products in a chain."""

CHAIN_SIDE = 2048
"""Side of the matrices of a chain on a device."""

_ROWS = 1024
_PACKED_SIDE = 512
"""Sides of the constant matrix of the quantised graphs."""


def matrix_rate(run: RunMatrices, graph: Path, *, chain_side: int = CHAIN_SIDE) -> float:
    """Rate of a graph of matrices, 1e9 operations a second."""
    rng = np.random.default_rng(0)
    if graph.stem.startswith("chain"):
        feeds = chain_feeds(graph, chain_side)
        return LINKS * 2 * chain_side**3 / time_fastest(partial(run, feeds)) / 1e9
    if graph == MATMUL_GRAPH:
        feeds = {name: rng.random((_PACKED_SIDE,) * 2, dtype=np.float32) for name in ("a", "b")}
        return 2 * _PACKED_SIDE**3 / time_fastest(partial(run, feeds)) / 1e9
    kind = np.uint8 if graph.stem.endswith("uint8") else np.int8
    a = rng.integers(0, 127, (_ROWS, _PACKED_SIDE)).astype(kind)
    return 2 * _ROWS * _PACKED_SIDE**2 / time_fastest(partial(run, {"a": a})) / 1e9


def chain_feeds(graph: Path, side: int) -> Matrices:
    """Matrices whose products stay of the same size, however many."""
    rng = np.random.default_rng(0)
    kind = np.float32 if graph.stem.endswith("float32") else np.float16
    a = rng.standard_normal((side, side), dtype=np.float32)
    b = rng.standard_normal((side, side), dtype=np.float32) / np.float32(side**0.5)
    return {"a": a.astype(kind), "b": b.astype(kind)}
