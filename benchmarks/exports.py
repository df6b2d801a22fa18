"""Every network of the table at its full size: torch against ONNX Runtime, and NVIDIA's builder.

    python benchmarks/exports.py [--free] [NAME ...] > docs/results/exports.md

Each graph a network has (whole; encode and fuse where it looks at each frame first) is written with
float tensors at its edges, run on real frames by ONNX Runtime and compared with torch. The weights
are random, but offsets of deformable convolutions move and outputs are scaled to the range of
pictures, so that 1e-4 means what it means for a trained network. The largest difference is over all
values; then TensorRT for RTX, where it is installed, parses the graph and builds an engine of it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vsrc.compressor.features.taps import spec_of
from vsrc.compressor.networks import create, names
from vsrc.compressor.networks.layers.carried_state import zero_state
from vsrc.compressor.networks.layers.deform import ModulatedDeformConv
from vsrc.compressor.networks.layers.frame_encoder import FrameEncoder
from vsrc.compressor.networks.loading.packaged import to_deployed
from vsrc.compressor.zoo import ROWS
from vsrc.export.checks.agreement import halves_run, steps_run, whole_run
from vsrc.export.engines.engine_build import BuildOrder, build_engine, shapes_for
from vsrc.export.graphs.check_frames import as_float, real_window
from vsrc.export.graphs.graph_plan import GraphPlan, plan_halves, plan_whole
from vsrc.export.graphs.picture_network import ENDS, StepGraph, WholeGraph
from vsrc.export.graphs.to_onnx import to_onnx
from vsrc.export.shape_range import shape_range_of
from vsrc.runtime.errors import MissingDependencyError, VsrcError
from vsrc.runtime.machine import this_machine
from vsrc.runtime.spec import NetworkSpec

HEIGHT, WIDTH = 48, 64
SIZES = ((1, 32, 32), (1, HEIGHT, WIDTH), (2, 2 * HEIGHT, 2 * WIDTH))
"""Least, usual and largest N, H and W of an engine whose sizes are free."""

GPUS = ("8.9",)
OPSET = 18


@dataclass(frozen=True)
class Written:
    """One graph on disk."""

    plan: GraphPlan
    file: Path
    nodes: int
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="all, if none is given")
    parser.add_argument("--free", action="store_true", help="N, H and W stay free")
    options = parser.parse_args()
    exported = [row.name for row in ROWS if row.graphs]
    print_head(free=options.free)
    for name in options.names or [name for name in names() if name in exported]:
        for line in lines(name, free=options.free):
            print(line, flush=True)


def print_head(*, free: bool) -> None:
    machine = this_machine()
    size = "free sizes" if free else "one size"
    print("# Every network through ONNX Runtime and NVIDIA's builder\n")
    print(f"`python benchmarks/exports.py{' --free' if free else ''}`: graphs of {size}, compared")
    print(f"at {HEIGHT}x{WIDTH} LR pixels. What is done and how: see the head of the script.\n")
    print(f"{machine.cpu}, {machine.cores} cores; torch {torch.__version__}, opset {OPSET}.\n")
    columns = ("network", "graph", "nodes", "largest difference", "export s", "engine MB")
    print(f"| {' | '.join(columns)} |")
    print(f"|---|---|{'---:|' * (len(columns) - 2)}")


def lines(name: str, *, free: bool) -> Iterator[str]:
    """A line for the whole network, and one for the pair where it has one."""
    torch.manual_seed(0)
    network = to_deployed(create(name))
    spec = spec_of(network)
    lr = as_float(real_window(spec.window, height=HEIGHT, width=WIDTH))
    tame(network, spec, torch.from_numpy(lr))
    with torch.inference_mode():
        if spec.state:
            frames = torch.from_numpy(lr)
            step = StepGraph(network, ENDS["float"]).eval()
            expected = step(frames, zero_state(spec, frames))[0].numpy()
        else:
            whole = WholeGraph(network, ENDS["float"], window=spec.window).eval()
            expected = whole(torch.from_numpy(lr)).numpy()
    with tempfile.TemporaryDirectory() as place:
        written = write(network, spec, Path(place), free=free)
        file = written[0].file
        run_whole = steps_run(file, spec.state) if spec.state else whole_run(file)
        answers = {"whole": run_whole(lr)}
        if len(written) > 1:
            _, encode, fuse = written
            run = halves_run(
                encode.file,
                fuse.file,
                encoded_frames=fuse.plan.encoded_frames,
                features=fuse.plan.features,
            )
            answers["encode + fuse"] = run(lr)
        parts = {"whole": written[:1], "encode + fuse": written[1:]}
        for label, answer in answers.items():
            graphs = parts[label]
            difference = float(np.abs(answer - expected).max())
            engine = " + ".join(engine_size(one) for one in graphs)
            nodes = " + ".join(str(one.nodes) for one in graphs)
            seconds = sum(one.seconds for one in graphs)
            yield f"| {name} | {label} | {nodes} | {difference:.1e} | {seconds:.0f} | {engine} |"


def tame(network: nn.Module, spec: NetworkSpec, lr: Tensor) -> None:
    """Let what moves move, and bring what the last layer adds to the range of pictures."""
    for module in network.modules():
        if isinstance(module, ModulatedDeformConv):
            nn.init.normal_(module.conv_offset.weight, 0, 0.02)
    last = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))][-1]
    sizes: list[Tensor] = []
    hook = last.register_forward_hook(lambda _module, _inputs, out: sizes.append(out.std()))
    with torch.inference_mode():
        WholeGraph(network, ENDS["float"], window=spec.window).eval()(lr)
    hook.remove()
    wanted = 51.0 if spec.name in ("edsr", "rcan", "san", "imdn-rte") else 0.2
    with torch.no_grad():
        last.weight.mul_(wanted / float(torch.stack(sizes).mean()))


def write(network: nn.Module, spec: NetworkSpec, folder: Path, *, free: bool) -> list[Written]:
    extent = shape_range_of(() if free else ((HEIGHT, WIDTH),), multiple=spec.size_multiple)
    plans = [plan_whole(network, spec, graph_io="float", extent=extent)]
    if isinstance(network, FrameEncoder):
        plans += plan_halves(network, spec, graph_io="float", extent=extent)
    found = []
    for plan in plans:
        started = time.perf_counter()
        model = to_onnx(plan, spec, graph_io="float", extent=extent, opset=OPSET)
        file = folder / f"{plan.role}.onnx"
        file.write_bytes(model.SerializeToString())
        found.append(Written(plan, file, len(model.graph.node), time.perf_counter() - started))
    return found


def engine_size(written: Written) -> str:
    """Megabytes of the engine, or why there is none."""
    plan = written.plan
    shapes_of = shapes_for([*plan.features, *plan.state], SIZES)
    try:
        built = build_engine("trt-rtx", BuildOrder(written.file, "fp32", shapes_of, GPUS))
    except MissingDependencyError:
        return "not installed"
    except VsrcError as error:
        return str(error)
    return f"{len(built.engine) / 1e6:.1f}"


if __name__ == "__main__":
    main()
