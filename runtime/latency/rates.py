"""How fast this machine multiplies and copies: the yardstick of every report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from vsrc.runtime.machine import core_count
from vsrc.runtime.schema import AtLeastOne, Positive

MATMUL_GRAPH = Path(__file__).resolve().parents[1] / "assets" / "matmul.onnx"
"""`c = MatMul(a, b)`, float32, any sizes: the smallest graph that is worth timing."""

_SIDES = (512, 1024)  # 3 MB fit a core's own cache, 12 MB do not; the better one counts
_COPY_BYTES = 128 << 20  # well past every cache
_SECONDS = 0.4  # time for each rate; the fastest repetition counts, so others' work costs little


@dataclass(frozen=True)
class Rates:
    """How fast the machine is at the two things that networks are made of.

    Attributes:
        threads: Threads for `matmul_gflop_per_s`.
        matmul_gflop_per_s: Multiplication of float32 matrices, 1e9 operations a second (a
            multiply-add counts as two), by the same library and threads that run the network.
        matmul_one_thread_gflop_per_s: The same with one thread.
        copy_gb_per_s: Copying in main memory with one thread, 1e9 bytes read plus written a second
            (as STREAM counts).
    """

    threads: AtLeastOne
    matmul_gflop_per_s: Positive
    matmul_one_thread_gflop_per_s: Positive
    copy_gb_per_s: Positive


def measure_rates(*, threads: int) -> Rates:
    """Measure with ONNX Runtime; takes about two seconds.

    Args:
        threads: Threads inside one operator, 0 for as many as there are cores.
    """
    threads = threads or core_count()
    alone = _matmul_gflop_per_s(1)
    return Rates(
        threads=threads,
        matmul_gflop_per_s=alone if threads == 1 else _matmul_gflop_per_s(threads),
        matmul_one_thread_gflop_per_s=alone,
        copy_gb_per_s=_copy_gb_per_s(),
    )


def _matmul_gflop_per_s(threads: int) -> float:
    from vsrc.runtime.backends.ort import open_ort

    session = open_ort(MATMUL_GRAPH, threads=threads)
    generator = np.random.default_rng(0)
    best = 0.0
    for side in _SIDES:
        a, b = generator.random((2, side, side), dtype=np.float32)
        seconds = _time_fastest(partial(session.run, None, {"a": a, "b": b}))
        best = max(best, 2 * side**3 / seconds / 1e9)
    return best


def _copy_gb_per_s() -> float:
    source = np.ones(_COPY_BYTES, dtype=np.uint8)
    target = np.zeros_like(source)
    return 2 * _COPY_BYTES / _time_fastest(partial(np.copyto, target, source)) / 1e9


def _time_fastest(call: Callable[[], object]) -> float:
    """Seconds of the fastest of the calls that fit into the time, three at least."""
    call()
    durations: list[float] = []
    while len(durations) < 3 or sum(durations) < _SECONDS:
        start = time.perf_counter()
        call()
        durations.append(time.perf_counter() - start)
    return min(durations)
