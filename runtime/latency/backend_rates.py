"""Matrix-multiply and copy rates of what ran a graph, measured through its backend.

A network is compared with matrices in its own arithmetic: an int8 convolution may well do three
times what this machine does in float32, and still be far from what it can.

    session                graph          matrices                          by
    ort-cpu                int8-cpu       uint8 x int8, constant weights    ONNX Runtime
    ort-cpu                fp32, fp16     float32 (a CPU computes both so)  ONNX Runtime
    openvino               the same, bf16                                   OpenVINO
    ort-cuda, ort:NAME     fp16, ...      a chain of 16 products            that provider
    trt, trt-rtx           fp16, ...      the same chain, as an engine      TensorRT
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.backends.engines import ENGINE_BACKENDS
from vsrc.runtime.backends.graph_in_use import is_on_cores
from vsrc.runtime.errors import VsrcError, describe_error
from vsrc.runtime.latency.rates import MATMUL_GRAPH, matmul_gflop_per_s, time_fastest
from vsrc.runtime.machine import thread_count
from vsrc.runtime.schema import Positive

Array = NDArray[Any]
Run = Callable[[dict[str, Array]], object]
"""Runs a graph with these inputs, and waits for the result."""

LINKS = 16
"""Number of products in a chain."""

_CHAIN_SIDE = 2048
_ROWS = 1024
_PACKED_SIDE = 512
"""Sides of the constant matrix of the quantised graphs."""

_ON_CORES = {
    "fp32": ("float32", MATMUL_GRAPH.name),
    "fp16": ("float32", MATMUL_GRAPH.name),
    "bf16": ("bfloat16", MATMUL_GRAPH.name),
    "int8-cpu": ("uint8 x int8", "matmul-uint8.onnx"),
    "int8": ("int8 x int8", "matmul-int8.onnx"),
}
_ON_DEVICE = {
    "fp32": ("float32", "chain-float32.onnx"),
    "fp16": ("float16", "chain-float16.onnx"),
    "int8": ("int8 x int8", "chain-int8.onnx"),
}
"""Precision of a graph -> arithmetic, and file of matrices in it."""


@dataclass(frozen=True)
class BackendRates:
    """Rates that bound the network that was measured, through the backend that ran it.

    Attributes:
        arithmetic: Types that are multiplied: float32, float16, bfloat16, uint8 x int8 or
            int8 x int8; None for a graph of unknown precision.
        matmul_gop_per_s: Rate of matrix multiplication in this arithmetic, 1e9 operations a second
            (a multiply-add counts as two).
        copy_gb_per_s: Rate of copying in the memory that the network runs in, 1e9 bytes read plus
            written a second.
        missing: Field that is None -> why.
    """

    arithmetic: str | None
    matmul_gop_per_s: Positive | None
    copy_gb_per_s: Positive | None
    missing: dict[str, str] = field(default_factory=dict)


def measure_backend_rates(
    label: str, *, precision: str | None, threads: int, copy_gb_per_s: float
) -> BackendRates:
    """Measure the rates of a backend; takes about a second.

    Args:
        label: Label of the session that ran the network.
        precision: Precision of its graph; None if unknown.
        threads: CPU threads inside one operator, 0 for as many as there are cores.
        copy_gb_per_s: Rate of copying in main memory.
    """
    on_cores = is_on_cores(label)
    known = (_ON_CORES if on_cores else _ON_DEVICE).get(precision or "")
    missing: dict[str, str] = {}
    copied: float | None = copy_gb_per_s
    arithmetic = matmul = None
    if known is None:
        why = "the precision of the graph is unknown"
        missing |= {"arithmetic": why, "matmul_gop_per_s": why}
    else:
        arithmetic = known[0]
    try:
        if known is not None:
            graph = MATMUL_GRAPH.with_name(known[1])
            matmul = _matmul_rate(label, graph, precision or "", threads)
        if not on_cores:
            copied = _device_copy_rate(label)
    except (VsrcError, RuntimeError) as error:
        missing["matmul_gop_per_s"] = describe_error(error)
        copied = copied if on_cores else None
    if copied is None:
        missing["copy_gb_per_s"] = f"{label} gives no access to the memory of its device"
    return BackendRates(arithmetic, matmul, copied, missing)


def _matmul_rate(label: str, graph: Path, precision: str, threads: int) -> float:
    backend = label.split()[0]
    engines = next((known for known in ENGINE_BACKENDS if known == backend), None)
    if engines is not None:
        from vsrc.runtime.latency.engine_rates import engine_matmul_rate

        return engine_matmul_rate(engines, graph, side=_CHAIN_SIDE)
    if backend == "ort-cpu" and graph == MATMUL_GRAPH:
        return matmul_gflop_per_s(thread_count(threads))
    return matrix_rate(_open(backend, graph, precision, threads), graph)


def matrix_rate(run: Run, graph: Path, *, chain_side: int = _CHAIN_SIDE) -> float:
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


def chain_feeds(graph: Path, side: int) -> dict[str, Array]:
    """Matrices whose products stay of the same size, however many."""
    rng = np.random.default_rng(0)
    kind = np.float32 if graph.stem.endswith("float32") else np.float16
    a = rng.standard_normal((side, side), dtype=np.float32)
    b = rng.standard_normal((side, side), dtype=np.float32) / np.float32(side**0.5)
    return {"a": a.astype(kind), "b": b.astype(kind)}


def _open(backend: str, graph: Path, precision: str, threads: int) -> Run:
    if backend == "openvino":
        from vsrc.runtime.backends.lane_trial import LanePlan
        from vsrc.runtime.backends.openvino_session import CompiledGraph

        plan = LanePlan(1, thread_count(threads))
        return CompiledGraph(graph, precision=precision, plan=plan).run
    from vsrc.runtime.backends.opening import provider_of
    from vsrc.runtime.backends.ort import open_ort

    name = {"ort-cpu": "ort"}.get(backend, backend.partition("/")[0])
    provider = provider_of(name)
    session = open_ort(graph, threads=threads, provider=provider, precision=precision)
    if provider.memory == "cpu":
        return lambda feeds: session.run(None, feeds)
    return lambda feeds: _run_on_device(session, feeds, provider.memory)


def _run_on_device(session: Any, feeds: dict[str, Array], memory: str) -> None:  # noqa: ANN401
    """Run with inputs and outputs in the memory of the device."""
    import onnxruntime

    binding = session.io_binding()
    for name, array in feeds.items():
        value = onnxruntime.OrtValue.ortvalue_from_numpy(array, memory, 0)
        binding.bind_ortvalue_input(name, value)
    binding.bind_output("c", memory)
    session.run_with_iobinding(binding)
    binding.synchronize_outputs()


def _device_copy_rate(label: str) -> float | None:
    """Rate of copying in the memory of a CUDA device; None for devices without access to it."""
    backend = label.split()[0]
    if backend not in (*ENGINE_BACKENDS, "ort-cuda", "ort-tensorrt"):
        return None
    from vsrc.runtime.backends.cuda_gpu import CudaGpu
    from vsrc.runtime.latency.engine_rates import device_copy_rate

    return device_copy_rate(CudaGpu())
