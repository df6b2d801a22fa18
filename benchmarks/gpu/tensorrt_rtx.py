"""Does TensorRT for RTX run on this GPU, and how fast?

    python benchmarks/gpu/tensorrt_rtx.py GRAPH.onnx [--shape 180x320] [--window 5]

Builds an engine of a graph that takes uint8 pictures, runs it on memory of torch's, and prints the
median latency; every step that fails says at which step it failed, and how.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

import torch


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("graph", type=Path)
    parser.add_argument("--shape", default="180x320")
    parser.add_argument("--window", type=int, default=5)
    options = parser.parse_args()
    step = "import"
    try:
        import tensorrt_rtx as trt

        capability = torch.cuda.get_device_capability()
        print(f"{torch.cuda.get_device_name()}, {capability}; tensorrt_rtx {trt.__version__}")
        height, width = map(int, options.shape.split("x"))
        logger = trt.Logger(trt.Logger.WARNING)
        step = "parse"
        builder = trt.Builder(logger)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser_ = trt.OnnxParser(network, logger)
        if not parser_.parse_from_file(str(options.graph)):
            raise RuntimeError(parser_.get_error(0).desc())
        step = "build"
        config = builder.create_builder_config()
        shape = (1, options.window, height, width, 3)
        profile = builder.create_optimization_profile()
        profile.set_shape("lr", shape, shape, shape)
        config.add_optimization_profile(profile)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise RuntimeError("the builder gave nothing")
        step = "load"
        engine = trt.Runtime(logger).deserialize_cuda_engine(plan)
        if engine is None:
            raise RuntimeError("the engine does not load on this GPU")
        step = "run"
        print(f"{run(engine, shape):.3f} ms")
    except Exception as error:
        sys.exit(f"failed at {step}: {type(error).__name__}: {error}")


def run(engine: object, shape: tuple[int, ...]) -> float:
    """Median milliseconds of a window."""
    context = engine.create_execution_context()  # type: ignore[attr-defined]
    lr = torch.randint(0, 256, shape, dtype=torch.uint8, device="cuda")
    context.set_input_shape("lr", shape)
    sr = torch.empty(tuple(context.get_tensor_shape("sr")), dtype=torch.uint8, device="cuda")
    context.set_tensor_address("lr", lr.data_ptr())
    context.set_tensor_address("sr", sr.data_ptr())
    stream, times = torch.cuda.current_stream(), []
    for _ in range(60):
        start, end = (torch.Event("cuda", enable_timing=True) for _ in range(2))
        start.record(stream)
        if not context.execute_async_v3(stream.cuda_stream):
            raise RuntimeError("execution was refused")
        end.record(stream)
        end.synchronize()
        times.append(float(start.elapsed_time(end)))
    if int(sr.max()) == int(sr.min()):
        raise RuntimeError("the picture is one flat colour")
    return statistics.median(times[10:])


if __name__ == "__main__":
    main()
