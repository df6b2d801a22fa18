"""Which means bring int8 pictures nearer to fp32, on clips that nothing was drawn from.

    python benchmarks/int8_means.py student.vsrc --clips A B --other C D [--windows 24]

The methods of finding ranges; balancing of channels by how far they reach on real frames (what
`vsrc calibrate` does) and by the ranges of weights (Nagel et al., ICCV 2019, section 4.1); and
correction of biases by the mean error of each channel, convolution by convolution (section 4.2).
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from vsrc.calibration.calibration_config import METHODS, Method
from vsrc.calibration.calibration_file import Equalised, Range
from vsrc.calibration.convolutions import convolutions
from vsrc.calibration.draw import draw_windows
from vsrc.calibration.equalise import balance, equalise, pairs
from vsrc.calibration.feed import iter_drawn_windows
from vsrc.calibration.fidelity import Fidelity, psnr_or_none
from vsrc.calibration.histogram import Histogram
from vsrc.calibration.observer import Observer
from vsrc.calibration.ort_graph import open_model
from vsrc.calibration.qdq import insert_qdq
from vsrc.calibration.scenes import lr_sources, survey
from vsrc.calibration.thresholds import range_of
from vsrc.runtime.package import Package, open_package

Windows = Sequence[NDArray[np.uint8]]
TILE = (96, 160)


def windows_of(package: Package, clips: Sequence[str], *, count: int, seed: int) -> Windows:
    network, graph = package.spec.network, package.spec.graphs["fp32"]
    scenes = [survey(one) for one in lr_sources(clips, degradation=package.spec.degradation)]
    draw = draw_windows(scenes, network, count=count, seed=seed)
    fed = iter_drawn_windows(scenes, draw, network, graph, tile=TILE, seed=seed)
    return [window.lr for window in fed]


def observed(model: onnx.ModelProto, windows: Windows) -> Observer:
    observer = Observer(model, threads=1, grid=2)
    for window in windows:
        observer.see(window)
    return observer


def ranges_by(method: Method, histograms: Mapping[str, Histogram]) -> dict[str, Range]:
    return {key: range_of(one, method, percentile=99.999) for key, one in histograms.items()}


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    result = onnx.ModelProto()
    result.CopyFrom(model)
    return result


def int8(model: onnx.ModelProto, ranges: Mapping[str, Range]) -> onnx.ModelProto:
    result = copied(model)
    insert_qdq(result, ranges)
    return result


def by_weights(model: onnx.ModelProto, factors: Mapping[str, Equalised]) -> dict[str, Equalised]:
    """The same pairs, balanced so that both weights reach equally far in each channel."""
    tensors = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    result = {}
    for pair in pairs(model.graph):
        first = np.abs(tensors[pair.first.weight]).max(axis=(1, 2, 3))
        second = np.abs(tensors[pair.second.weight]).max(axis=(0, 2, 3))
        scales = np.sqrt(first / np.maximum(second, 1e-6))
        scales = np.clip(scales / np.exp(np.log(scales).mean()), 0.05, 20)
        kept = factors[pair.first.key]
        result[pair.first.key] = dataclasses.replace(kept, scales=tuple(scales.tolist()))
    return result


def bias_corrected(
    model: onnx.ModelProto, ranges: Mapping[str, Range], windows: Windows
) -> onnx.ModelProto:
    """The int8 graph with the mean of each channel of each convolution as fp32 has it."""
    result = int8(model, ranges)
    tensors = {tensor.name: tensor for tensor in result.graph.initializer}
    nodes = {node.name: node for node in result.graph.node}
    found = convolutions(model.graph)
    wanted = channel_means(model, [one.output for one in found], windows)
    for one, mean in zip(found, wanted, strict=True):
        (given,) = channel_means(result, [one.output], windows)
        name = nodes[one.node].input[2]
        bias = numpy_helper.to_array(tensors[name]) + (mean - given).astype(np.float32)
        tensors[name].CopyFrom(numpy_helper.from_array(bias, name))
    return result


def channel_means(
    model: onnx.ModelProto, names: Sequence[str], windows: Windows
) -> list[NDArray[np.float64]]:
    watched = copied(model)
    del watched.graph.output[:]
    watched.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    session = open_model(watched, threads=1)
    sums = [np.zeros(1)] * len(names)
    for window in windows:
        values = session.run(list(names), {"lr": window})
        means = [value.mean(axis=(0, 2, 3), dtype=np.float64) for value in values]
        sums = [before + mean for before, mean in zip(sums, means, strict=True)]
    return [one / len(windows) for one in sums]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("package", type=Path)
    parser.add_argument("--clips", nargs="+", required=True)
    parser.add_argument("--other", nargs="+", required=True)
    parser.add_argument("--windows", type=int, default=24)
    options = parser.parse_args()
    package = open_package(options.package)
    model = onnx.load(package.graph("fp32")[0])
    drawn = windows_of(package, options.clips, count=options.windows, seed=0)
    other = windows_of(package, options.other, count=6, seed=1)
    near, far = (Fidelity(model, windows, threads=1) for windows in (drawn[:8], other))

    def say(words: str, graph: onnx.ModelProto) -> None:
        cells = [f"{psnr_or_none(one.error(graph)) or 999:.2f}" for one in (near, far)]
        print(f"| {words} | {' | '.join(cells)} |", flush=True)

    print("| | dB from fp32, clips drawn from | other clips |\n| --- | --- | --- |")
    observer = observed(model, drawn)
    for method in METHODS:
        say(method, int8(model, ranges_by(method, observer.inputs)))
    exact = ranges_by("minmax", observer.inputs)
    factors = balance(model, observer)
    ways = {"by reach": factors, "by weights": by_weights(model, factors)}
    for words, chosen in ways.items():
        changed = copied(model)
        equalise(changed, chosen)
        after = ranges_by("minmax", observed(changed, drawn).inputs)
        say(f"minmax, balanced {words}", int8(changed, after))
    say("minmax, biases corrected", bias_corrected(model, exact, drawn[:8]))


if __name__ == "__main__":
    main()
