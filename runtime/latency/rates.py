"""Matrix-multiply and copy rates of this machine, the reference of every report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from vsrc.runtime.machine import thread_count
from vsrc.runtime.schema import AtLeastOne, Positive

MATMUL_GRAPH = Path(__file__).resolve().parents[1] / "assets" / "matmul.onnx"
"""ONNX graph of `c = MatMul(a, b)`, float32, any sizes."""

_SIDES = (512, 1024)  # 3 MB fit into a core's own cache, 12 MB do not; the faster counts
_COPY_BYTES = 128 << 20  # larger than every cache
_SECONDS = 0.4  # per rate; the fastest repetition counts, so other load has little effect


@dataclass(frozen=True)
class Rates:
    """Arithmetic and copy rates of the machine, which bound the speed of networks.

    Attributes:
        threads: Number of threads for `matmul_gflop_per_s`.
        matmul_gflop_per_s: Rate of float32 matrix multiplication, 1e9 operations a second (a
            multiply-add counts as two), by the same library and threads that run the network.
        matmul_one_thread_gflop_per_s: The same rate with one thread.
        copy_gb_per_s: Rate of copying in main memory with one thread, 1e9 bytes read plus written
            a second (as STREAM counts).
    """

    threads: AtLeastOne
    matmul_gflop_per_s: Positive
    matmul_one_thread_gflop_per_s: Positive
    copy_gb_per_s: Positive


def measure_rates(*, threads: int) -> Rates:
    """Measure the rates with ONNX Runtime; takes about two seconds.

    Args:
        threads: Threads inside one operator, 0 for as many as there are cores.
    """
    threads = thread_count(threads)
    alone = matmul_gflop_per_s(1)
    return Rates(
        threads=threads,
        matmul_gflop_per_s=alone if threads == 1 else matmul_gflop_per_s(threads),
        matmul_one_thread_gflop_per_s=alone,
        copy_gb_per_s=_copy_gb_per_s(),
    )


def matmul_gflop_per_s(threads: int) -> float:
    """Rate of float32 matrix multiplication by ONNX Runtime on the CPU, 1e9 operations a second."""
    from vsrc.runtime.backends.ort import open_ort

    session = open_ort(MATMUL_GRAPH, threads=threads)
    generator = np.random.default_rng(0)
    best = 0.0
    for side in _SIDES:
        a, b = generator.random((2, side, side), dtype=np.float32)
        seconds = time_fastest(partial(session.run, None, {"a": a, "b": b}))
        best = max(best, 2 * side**3 / seconds / 1e9)
    return best


def _copy_gb_per_s() -> float:
    source = np.ones(_COPY_BYTES, dtype=np.uint8)
    target = np.zeros_like(source)
    return 2 * _COPY_BYTES / time_fastest(partial(np.copyto, target, source)) / 1e9


def time_fastest(call: Callable[[], object]) -> float:
    """Time repeated calls (at least three); return the duration of the fastest, seconds."""
    call()
    durations: list[float] = []
    while len(durations) < 3 or sum(durations) < _SECONDS:
        start = time.perf_counter()
        call()
        durations.append(time.perf_counter() - start)
    return min(durations)
