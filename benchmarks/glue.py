"""Share of a graph's time that is not convolutions, before and after the bilinear skip is folded.

    python benchmarks/glue.py [NAME|PACKAGE ...] [--rounds 15] > docs/results/glue.md

For each network three int8-cpu and three fp32 graphs take turns, on one thread and the same
window: the graph as traced (Resize, DepthToSpace and Add in float; int8 with Q/DQ around each
convolution), the graph as `vsrc export` writes it, and the convolutions of the latter alone, cut
out of it. CPU time, minimum and median of the rounds. Graphs are opened as `vsrc infer` opens them.

A NAME is a network with random weights and made-up ranges, whose time is that of a trained one. A
PACKAGE must be calibrated; for it the table also says how near to fp32 the int8 graphs are, before
rounding, on a window of the sample clip.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx.utils import Extractor

from vsrc.calibration.calibration_file import Calibration, read_calibration
from vsrc.calibration.convolutions import convolutions
from vsrc.calibration.equalise import equalise
from vsrc.compressor.features.taps import spec_of
from vsrc.compressor.networks import create
from vsrc.compressor.networks.loading.packaged import from_package, to_deployed
from vsrc.export.checks.unrounded import unround
from vsrc.export.graphs.bilinear_skip import fold_bilinear_skip
from vsrc.export.graphs.check_frames import real_window
from vsrc.export.graphs.graph_index import GraphIndex
from vsrc.export.graphs.graph_plan import plan_whole
from vsrc.export.graphs.quantise import int8_graph
from vsrc.export.graphs.quantise_cpu import insert_cpu_qdq
from vsrc.export.graphs.to_onnx import to_onnx
from vsrc.export.shape_range import shape_range_of
from vsrc.runtime.backends.ort import open_ort
from vsrc.runtime.package import open_package

HEIGHT, WIDTH = 180, 320
HEAD = (
    "| network | precision | before, ms | now, ms | convolutions, ms | now / before "
    "| now / convolutions | dB to fp32, before | now |"
)


@dataclass(frozen=True, eq=False)
class Timed:
    """A graph, and what it is fed."""

    session: onnxruntime.InferenceSession
    feeds: Mapping[str, NDArray[np.generic]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*", default=["edge-s", "edge-m"])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    print("# What is not convolutions\n\nWritten by `benchmarks/glue.py`: ", end="")
    print(f"onnxruntime {onnxruntime.__version__}, one thread, one window of {WIDTH}x{HEIGHT},")
    print(f"CPU time, minimum (median) of {options.rounds} rounds in turns.\n")
    print(HEAD)
    print("|---" * 9 + "|")
    for name in options.networks:
        for row in measure(name, options.rounds):
            print("| " + " | ".join(row) + " |", flush=True)


def measure(name: str, rounds: int) -> list[list[str]]:
    """Rows of a network."""
    traced, calibration, is_calibrated = trace(name)
    folded = onnx.ModelProto()
    folded.CopyFrom(traced)
    if not fold_bilinear_skip(folded):
        raise SystemExit(f"{name} has no bilinear skip")
    before = quantise_around_convolutions(traced, calibration)
    now = int8_graph(folded, calibration, target="cpu")
    bare = {"int8-cpu": cut_bytes(now), "fp32": cut_floats(folded)}
    whole = {"int8-cpu": (before, now), "fp32": (traced, folded)}
    window = traced.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    lr = real_window(window, height=HEIGHT, width=WIDTH)
    rows = []
    for precision, graphs in whole.items():
        took = time_in_turns([*graphs, bare[precision]], lr, rounds)
        least = [min(each) for each in took]
        cells = [f"{min(each):.1f} ({statistics.median(each):.1f})" for each in took]
        cells += [f"{least[1] / least[0]:.3f}", f"{least[1] / least[2]:.3f}"]
        near = ["", ""]
        if is_calibrated and precision != "fp32":
            near = [f"{psnr(graph, folded, lr):.2f}" for graph in graphs]
        rows.append([Path(name).stem, precision, *cells, *near])
    return rows


def quantise_around_convolutions(
    traced: onnx.ModelProto, calibration: Calibration
) -> onnx.ModelProto:
    """The int8-cpu graph with Q/DQ around each convolution, and all else in float."""
    model = onnx.ModelProto()
    model.CopyFrom(traced)
    ranges, outputs = calibration.ranges_with(equalise(model, calibration.equalised))
    insert_cpu_qdq(model, ranges, outputs, only=set(ranges))
    return model


def trace(name: str) -> tuple[onnx.ModelProto, Calibration, bool]:
    """The fp32 graph as torch exports it, its ranges, and whether they were measured."""
    calibration = None
    if Path(name).is_dir():
        package = open_package(name)
        spec, network = package.spec.network, to_deployed(from_package(package, allow_code=True))
        calibration = read_calibration(package.path)
        if calibration is None:
            raise SystemExit(f"{name} is not calibrated; run vsrc calibrate {name} CLIPS")
    else:
        network = create(name)
        spec, network = spec_of(network), to_deployed(network)
    extent = shape_range_of((), multiple=spec.size_multiple)
    plan = plan_whole(network, spec, graph_io="uint8", extent=extent)
    model = to_onnx(plan, spec, graph_io="uint8", extent=extent, opset=18)
    if calibration is not None:
        return model, calibration, True
    keys = [conv.key for conv in convolutions(model.graph)]
    inputs, outputs = dict.fromkeys(keys, (0.0, 1.0)), dict.fromkeys(keys, (-1.0, 1.0))
    return model, Calibration("made up", inputs, outputs), False


def cut_floats(folded: onnx.ModelProto) -> onnx.ModelProto:
    """The convolutions of a folded fp32 graph, from the stack to the tail's output."""
    listed = convolutions(folded.graph)
    return extract(folded, [listed[0].input], [listed[-1].output])


def cut_bytes(int8: onnx.ModelProto) -> onnx.ModelProto:
    """The convolutions of a graph of bytes, in the layout in which they run.

    From the aligned stack to the features, and from the padded concatenation to the pixels.
    """
    index = GraphIndex(int8)
    nodes = [node for node in int8.graph.node if node.op_type == "Conv"]
    ends = []
    for node in (nodes[0], nodes[-1]):
        path = index.chain_to(node.input[0], "DequantizeLinear", "Transpose")
        assert path is not None, "a chain reads bytes in the layout of images"
        ends.append(path[1].input[0])
    turned = [
        node.output[0]
        for node in int8.graph.node
        if node.op_type == "Transpose" and index.writer(node.input[0], "QuantizeLinear")
    ]
    cut = extract(int8, ends, turned)
    for value, node in zip(cut.graph.input, (nodes[0], nodes[-1]), strict=True):
        dequantise = index.writer(node.input[1], "DequantizeLinear")
        weight = index.constant(dequantise.input[0]) if dequantise else None
        assert weight is not None
        value.type.tensor_type.shape.dim[3].dim_value = weight.shape[1]  # not inferred by ONNX
    return cut


def extract(model: onnx.ModelProto, inputs: list[str], outputs: list[str]) -> onnx.ModelProto:
    known = onnx.shape_inference.infer_shapes(model)
    return Extractor(known).extract_model(inputs, outputs)


def time_in_turns(
    models: list[onnx.ModelProto], lr: NDArray[np.uint8], rounds: int
) -> list[list[float]]:
    """CPU time of each run of each graph, ms."""
    timed = [open_timed(model, lr) for model in models]
    took: list[list[float]] = [[] for _ in timed]
    for _ in range(rounds):
        for each, times in zip(timed, took, strict=True):
            began = time.process_time()
            each.session.run(None, dict(each.feeds))
            times.append(1000 * (time.process_time() - began))
    return took


def open_timed(model: onnx.ModelProto, lr: NDArray[np.uint8]) -> Timed:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        onnx.save(model, path)
        session = open_ort(path, threads=1)
    rng = np.random.default_rng(0)
    feeds: dict[str, NDArray[np.generic]] = {}
    for value in session.get_inputs():
        if value.name == "lr":
            feeds["lr"] = lr
            continue
        if value.type == "tensor(uint8)":  # (N, H, W, C); the tail's has a border
            around = 2 * (len(feeds) > 0)
            shape = (1, HEIGHT + around, WIDTH + around, value.shape[3])
            feeds[value.name] = rng.integers(0, 256, shape, dtype=np.uint8)
        else:
            shape = (1, value.shape[1], HEIGHT, WIDTH)
            feeds[value.name] = rng.random(shape, dtype=np.float32)
    return Timed(session, feeds)


def psnr(model: onnx.ModelProto, reference: onnx.ModelProto, lr: NDArray[np.uint8]) -> float:
    """PSNR of unrounded outputs, dB."""
    answers = [
        open_timed(unround(each), lr).session.run(None, {"lr": lr})[0]
        for each in (model, reference)
    ]
    error = np.mean((answers[0].astype(np.float64) - answers[1]) ** 2)
    return float(10 * np.log10(255**2 / error))


if __name__ == "__main__":
    main()
