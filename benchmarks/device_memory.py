"""Estimate the device memory of the students that ship, from their graphs alone.

    python -m vsrc.benchmarks.device_memory > docs/results/device-memory.md

A graph is walked in its order: a value takes memory from the node that makes it to the last that
reads it. TensorRT fuses nodes, so that many of these values never exist, and takes workspace for
its kernels, which is not counted; `vsrc infer --dry-run` measures on a device. Beside the engine a
session holds its input and output, and two stages for copies each way (runtime/backends/device).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from vsrc.runtime.package import open_package
from vsrc.runtime.shipped_models import list_shipped, shipped

SIZES = ((540, 960), (1080, 1920))
PRECISIONS = ("fp32", "fp16", "int8")
LIMIT_BYTES = 1_000_000_000
_STAGES = 2


@dataclass(frozen=True)
class Estimate:
    """Memory of one session, bytes.

    Attributes:
        values: Most that intermediate values take at one time.
        weights: Constants of the graph.
        edges: Input and output, with their stages.
    """

    values: int
    weights: int
    edges: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.values + self.weights + self.edges


def main() -> None:
    print("# Device memory, estimated\n")
    print(
        "`python -m vsrc.benchmarks.device_memory`: values of the graph that are alive at one time,"
    )
    print("weights, and frames with their stages for copies. Without the workspace of kernels, and")
    print("without what TensorRT saves by fusing nodes. No GPU was there; `vsrc infer --dry-run`")
    print("measures on one, with what CUDA itself takes.\n")
    print("| model | graph | LR frame (HxW) | values | weights | frames | in all |")
    print("|---|---|---|---|---|---|---|")
    for model in list_shipped():
        package = open_package(shipped(model))
        for precision in PRECISIONS:
            if precision not in package.spec.graphs:
                continue
            path, _ = package.graph(precision)
            for size in SIZES:
                one = estimate(str(path), size)
                parts = (one.values, one.weights, one.edges, one.total)
                cells = " | ".join(f"{part / 1e6:.0f} MB" for part in parts)
                print(f"| {model} | {precision} | {size[0]}x{size[1]} | {cells} |")
    path, _ = open_package(shipped("edge-m")).graph("fp16")
    assert estimate(str(path), (540, 960)).total <= LIMIT_BYTES


def estimate(path: str, size: tuple[int, int]) -> Estimate:
    """Estimate a graph for frames of H and W, one window at a time."""
    import onnx
    from onnx import helper, shape_inference

    model = onnx.load(path)
    graph = model.graph
    (lr,) = graph.input
    sides = lr.type.tensor_type.shape.dim
    fixed = (1, sides[1].dim_value, *size, 3)
    for side, value in zip(sides, fixed, strict=True):
        side.Clear()
        side.dim_value = value
    for output in graph.output:
        for side in output.type.tensor_type.shape.dim:
            side.ClearField("dim_param")
    del graph.value_info[:]
    inferred = shape_inference.infer_shapes(model, data_prop=True, strict_mode=True).graph
    sizes = {}
    for value in (*inferred.value_info, *inferred.output):
        kind = value.type.tensor_type
        item = helper.tensor_dtype_to_np_dtype(kind.elem_type).itemsize
        sizes[value.name] = item * prod(side.dim_value for side in kind.shape.dim)
    last = {name: at for at, node in enumerate(graph.node) for name in node.input}
    alive = most = 0
    outputs = {value.name for value in graph.output}
    for at, node in enumerate(graph.node):
        alive += sum(sizes[name] for name in node.output if name not in outputs)
        most = max(most, alive)
        done = {name for name in (*node.input, *node.output) if last.get(name, at) == at}
        alive -= sum(sizes.get(name, 0) for name in done if name not in outputs)
    weights = sum(len(tensor.raw_data) for tensor in graph.initializer)
    ends = prod(fixed) + sum(sizes[name] for name in outputs)
    return Estimate(most, weights, ends * (1 + _STAGES))


if __name__ == "__main__":
    main()
