"""Matrix-multiply rate of TensorRT, and copy rate of a CUDA device."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsrc.runtime.backends.device.device_stages import device_stages
from vsrc.runtime.backends.device.engine_file import EngineBackend
from vsrc.runtime.backends.device.gpu import Engine, Gpu
from vsrc.runtime.backends.device.program import Program
from vsrc.runtime.backends.device.tensorrt_api import Messages, listener, tensorrt_module
from vsrc.runtime.backends.device.transfers import Transfers
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.latency.matrix_graphs import LINKS, chain_feeds

if TYPE_CHECKING:
    import tensorrt as trt

_COPY_BYTES = 256 << 20  # larger than the cache of any GPU
_COPIES = 10
_SECONDS = 0.4


def engine_matmul_rate(backend: EngineBackend, graph: Path, *, side: int, device: int = 0) -> float:
    """Build an engine of a chain of products, and measure its rate, 1e9 operations a second.

    Raises:
        MissingDependencyError: TensorRT or a GPU is missing.
        MismatchError: TensorRT does not build the graph.
    """
    from vsrc.runtime.backends.device.cuda_gpu import CudaGpu
    from vsrc.runtime.backends.device.trt_engine import TrtEngine
    from vsrc.runtime.sensors.cuda_device import cuda_device

    gpu = CudaGpu(cuda_device(device))
    plan = build_plan(backend, graph, side=side)
    with tempfile.TemporaryDirectory(prefix="vsrc-rate.") as folder:
        path = Path(folder) / "chain.engine"
        path.write_bytes(plan)
        return chain_rate(gpu, TrtEngine(path, backend), graph, side=side)


def build_plan(backend: EngineBackend, graph: Path, *, side: int) -> bytes:
    """Build an engine of a graph for square matrices of one size.

    Raises:
        MissingDependencyError: TensorRT is missing.
        MismatchError: It rejects the graph.
    """
    module, messages = tensorrt_module(backend), Messages()
    logger: trt.ILogger = listener(module, messages)
    builder: trt.Builder = module.Builder(logger)
    flags = module.NetworkDefinitionCreationFlag
    typed = 1 << int(flags.STRONGLY_TYPED) if hasattr(flags, "STRONGLY_TYPED") else 1
    network = builder.create_network(typed)
    parser = module.OnnxParser(network, logger)
    config = builder.create_builder_config()
    plan: Any = None
    if parser.parse(graph.read_bytes()):
        profile = builder.create_optimization_profile()
        for at in range(network.num_inputs):
            name = network.get_input(at).name
            profile.set_shape(name, (side, side), (side, side), (side, side))
        config.add_optimization_profile(profile)
        plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise MismatchError(f"{backend} does not build {graph.name} ({messages.cause()})")
    return bytes(plan)


def chain_rate(gpu: Gpu, engine: Engine, graph: Path, *, side: int) -> float:
    """Rate of an engine of a chain of products, 1e9 operations a second, by the device's clock."""
    transfers = Transfers(gpu)
    program = Program(gpu, engine, transfers.network)
    feeds = chain_feeds(graph, side)
    try:
        stages = device_stages(
            gpu, program, transfers.network, feeds, tuple(engine.outputs), seconds=_SECONDS
        )
    finally:
        transfers.drain()
        program.close()
        transfers.close()
    return LINKS * 2 * side**3 / (min(stages.network_ms) / 1000) / 1e9


def device_copy_rate(gpu: Gpu, *, size_bytes: int = _COPY_BYTES) -> float:
    """Rate of copying in device memory, 1e9 bytes read plus written a second."""
    stream, marks = gpu.stream(), (gpu.event(), gpu.event())
    blocks = [gpu.allocate(size_bytes) for _ in range(2)]
    try:
        times_ms = []
        for _ in range(_COPIES):
            gpu.record(marks[0], stream)
            gpu.copy(blocks[1], blocks[0], size_bytes, stream)
            gpu.record(marks[1], stream)
            gpu.wait(marks[1])
            times_ms.append(gpu.elapsed_ms(*marks))
    finally:
        for block in blocks:
            gpu.release(block)
        for mark in marks:
            gpu.release_event(mark)
        gpu.release_stream(stream)
    return 2 * size_bytes / (min(times_ms) / 1000) / 1e9
