"""Latency of the students on one GPU: torch eager, CUDA graphs, and ONNX Runtime where it has CUDA.

    python benchmarks/gpu/latency.py [--shapes 180x320,270x480,540x960] [NAME ...]

Random weights, window on the GPU, batch 1. Times are medians between CUDA events after warm-up; the
table also says what share of the card's measured half-precision matrix rate each reaches.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from vsrc.compressor.features.taps import spec_of
from vsrc.compressor.networks import create
from vsrc.compressor.networks.loading.packaged import to_deployed

RUNS = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", default=["edge-s", "edge-m", "edge-l", "edvr-m"])
    parser.add_argument("--shapes", default="180x320,270x480,540x960")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("no CUDA device here; run this on a machine with a GPU")
    rate = matmul_rate()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    print(f"fp16 matmul of 8192: {rate / 1e12:.0f} TFLOP/s\n")
    print("| network | LR | runs on | ms | fps | share of matmul |\n|---|---|---|---:|---:|---:|")
    for name in options.names:
        for shape in options.shapes.split(","):
            height, width = map(int, shape.split("x"))
            for label, ms in measured(name, height, width).items():
                gmac = spec_of(create(name)).gmac_per_lr_pixel * height * width
                share = 2e9 * gmac / (ms / 1e3) / rate
                line = (name, shape, label, f"{ms:.3f}", f"{1e3 / ms:.0f}", f"{share:.1%}")
                print(f"| {' | '.join(line)} |", flush=True)


def measured(name: str, height: int, width: int) -> dict[str, float]:
    network = to_deployed(create(name)).cuda().half()
    for weight in network.parameters():
        if weight.dim() == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    window = torch.rand(1, spec_of(network).window, 3, height, width, device="cuda").half()
    with torch.inference_mode():
        found = {"torch fp16": median_ms(lambda: network(window))}
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            network(window)
        found["torch fp16, CUDA graph"] = median_ms(graph.replay)
    found.update(with_onnxruntime(name, height, width))
    return found


def with_onnxruntime(name: str, height: int, width: int) -> dict[str, float]:
    """Uint8 pictures that lie on the GPU, fp32 graph; nothing where the provider is missing."""
    try:
        import onnxruntime as ort
    except ImportError:
        return {}
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        return {}
    from vsrc.export.graphs.graph_plan import plan_whole
    from vsrc.export.graphs.to_onnx import to_onnx
    from vsrc.export.shape_range import shape_range_of

    network = to_deployed(create(name))
    spec = spec_of(network)
    extent = shape_range_of(((height, width),), multiple=spec.size_multiple)
    plan = plan_whole(network, spec, graph_io="uint8", extent=extent)
    model = to_onnx(plan, spec, graph_io="uint8", extent=extent, opset=18)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fp32.onnx"
        path.write_bytes(model.SerializeToString())
        session = ort.InferenceSession(path, providers=["CUDAExecutionProvider"])
    if session.get_providers()[0] != "CUDAExecutionProvider":
        return {}
    lr = torch.randint(0, 256, (1, spec.window, height, width, 3), dtype=torch.uint8)
    binding = session.io_binding()
    binding.bind_ortvalue_input("lr", ort.OrtValue.ortvalue_from_numpy(lr.numpy(), "cuda", 0))
    binding.bind_output("sr", "cuda")
    return {"ONNX Runtime CUDA fp32": median_ms(lambda: session.run_with_iobinding(binding))}


def median_ms(run: Callable[[], object]) -> float:
    for _ in range(10):
        run()
    times = []
    for _ in range(RUNS):
        start, end = (torch.Event("cuda", enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        end.synchronize()
        times.append(float(start.elapsed_time(end)))
    return statistics.median(times)


def matmul_rate() -> float:
    """Operations a second."""
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.float16) for _ in range(2))
    return float(2 * 8192**3 / (median_ms(lambda: a @ b) / 1e3))


if __name__ == "__main__":
    main()
