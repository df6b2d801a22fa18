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

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vsrc.runtime.backends.device.engines import ENGINE_BACKENDS
from vsrc.runtime.backends.graph_in_use import is_on_cores
from vsrc.runtime.errors import VsrcError, describe_error
from vsrc.runtime.latency.matrix_graphs import CHAIN_SIDE, Matrices, RunMatrices, matrix_rate
from vsrc.runtime.latency.rates import MATMUL_GRAPH, matmul_gflop_per_s
from vsrc.runtime.machine import thread_count
from vsrc.runtime.schema import Positive

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
    label: str, *, precision: str | None, threads: int, copy_gb_per_s: float, device: int = 0
) -> BackendRates:
    """Measure the rates of a backend; takes about a second.

    Args:
        label: Label of the session that ran the network.
        precision: Precision of its graph; None if unknown.
        threads: CPU threads inside one operator, 0 for as many as there are cores.
        copy_gb_per_s: Rate of copying in main memory.
        device: Index of the CUDA device.
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
            matmul = _matmul_rate(label, graph, precision or "", threads, device)
        if not on_cores:
            copied = _device_copy_rate(label, device)
    except (VsrcError, RuntimeError) as error:
        missing["matmul_gop_per_s"] = describe_error(error)
        copied = copied if on_cores else None
    if copied is None:
        missing["copy_gb_per_s"] = f"{label} gives no access to the memory of its device"
    return BackendRates(arithmetic, matmul, copied, missing)


def _matmul_rate(label: str, graph: Path, precision: str, threads: int, device: int) -> float:
    backend = label.split()[0]
    engines = next((known for known in ENGINE_BACKENDS if known == backend), None)
    if engines is not None:
        from vsrc.runtime.latency.engine_rates import engine_matmul_rate

        return engine_matmul_rate(engines, graph, side=CHAIN_SIDE, device=device)
    if backend == "ort-cpu" and graph == MATMUL_GRAPH:
        return matmul_gflop_per_s(thread_count(threads))
    return matrix_rate(_open(backend, graph, precision, threads, device), graph)


def _open(backend: str, graph: Path, precision: str, threads: int, device: int) -> RunMatrices:
    if backend == "openvino":
        from vsrc.runtime.backends.lane_trial import LanePlan
        from vsrc.runtime.backends.openvino_session import CompiledGraph

        plan = LanePlan(1, thread_count(threads))
        return CompiledGraph(graph, precision=precision, plan=plan).run
    from vsrc.runtime.backends.opening import provider_of
    from vsrc.runtime.backends.ort import open_ort

    name = {"ort-cpu": "ort"}.get(backend, backend.partition("/")[0])
    provider = provider_of(name, device)
    session = open_ort(graph, threads=threads, provider=provider, precision=precision)
    if provider.memory == "cpu":
        return lambda feeds: session.run(None, feeds)
    return lambda feeds: _run_on_device(session, feeds, provider.memory)


def _run_on_device(session: Any, feeds: Matrices, memory: str) -> None:  # noqa: ANN401
    """Run with inputs and outputs in the memory of the device."""
    import onnxruntime

    binding = session.io_binding()
    for name, array in feeds.items():
        value = onnxruntime.OrtValue.ortvalue_from_numpy(array, memory, 0)
        binding.bind_ortvalue_input(name, value)
    binding.bind_output("c", memory)
    session.run_with_iobinding(binding)
    binding.synchronize_outputs()


def _device_copy_rate(label: str, device: int) -> float | None:
    """Rate of copying in the memory of a CUDA device; None for devices without access to it."""
    backend = label.split()[0]
    if backend not in (*ENGINE_BACKENDS, "ort-cuda", "ort-tensorrt"):
        return None
    from vsrc.runtime.backends.device.cuda_gpu import CudaGpu
    from vsrc.runtime.latency.engine_rates import device_copy_rate
    from vsrc.runtime.sensors.cuda_device import cuda_device

    return device_copy_rate(CudaGpu(cuda_device(device)))
