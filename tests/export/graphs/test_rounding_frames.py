"""Weights rounded by what convolutions read on real frames, judged on frames that were not read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from vsrc.calibration.calibration_file import QAT, read_calibration
from vsrc.calibration.compensated_rounding import CompensatedRounding
from vsrc.calibration.moments import measure_moments
from vsrc.calibration.ort_graph import open_model
from vsrc.export.checks.unrounded import unround
from vsrc.export.graphs.check_frames import (
    STEPS,
    check_frames,
    check_sizes,
    real_window,
    rounding_frames,
)
from vsrc.export.graphs.quantise import Int8Target, int8_graph
from vsrc.export.shape_range import ShapeRange, shape_range_of
from vsrc.runtime.package import Package, open_package
from vsrc.runtime.sample import sample_frames
from vsrc.runtime.shipped_models import shipped
from vsrc.runtime.spec import StateSpec

ANY = shape_range_of((), multiple=1)


@pytest.fixture(scope="module")
def package() -> Package:
    return open_package(shipped("edge-s"))


@pytest.fixture(scope="module")
def model(package: Package) -> onnx.ModelProto:
    return onnx.load(package.graph("fp32")[0])


@pytest.fixture(scope="module")
def roundings(package: Package, model: onnx.ModelProto) -> dict[str, CompensatedRounding]:
    frames = rounding_frames(package.spec.network, ANY, degradation="bi")
    moments = measure_moments(model, [{"lr": lr} for lr in frames])
    return {key: CompensatedRounding(each) for key, each in moments.items()}


def answer(graph: onnx.ModelProto, lr: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Output of a graph before it is rounded to 8 bits."""
    (sr,) = open_model(unround(graph), threads=1).run(None, {"lr": lr})
    return np.asarray(sr, np.float64)


@pytest.mark.parametrize(("target", "share"), [("cpu", 0.75), ("nvidia", 1.0)])
def test_int8_comes_nearer_to_fp32(
    package: Package,
    model: onnx.ModelProto,
    roundings: dict[str, CompensatedRounding],
    target: Int8Target,
    share: float,
) -> None:
    calibration = read_calibration(package.path)
    assert calibration is not None
    calibration = replace(calibration, float_layers=())
    lr = real_window(5, height=90, width=160)
    with_them = int8_graph(model, calibration, target=target, roundings=roundings)
    without = int8_graph(model, calibration, target=target)
    exact, one, other = (answer(graph, lr) for graph in (model, with_them, without))
    assert np.mean((one - exact) ** 2) < share * np.mean((other - exact) ** 2)


def test_weights_trained_for_nvidias_graph_keep_the_rounding_of_the_training(
    package: Package, model: onnx.ModelProto, roundings: dict[str, CompensatedRounding]
) -> None:
    calibration = read_calibration(package.path)
    assert calibration is not None
    learnt = replace(calibration, method=QAT)
    graphs = [
        int8_graph(model, learnt, target="nvidia", roundings=each).SerializeToString()
        for each in (roundings, None)
    ]
    assert graphs[0] == graphs[1]


def test_frames_are_others_than_those_of_the_comparison(package: Package) -> None:
    network = package.spec.network
    windows = rounding_frames(network, ANY, degradation="bi")
    size = check_sizes(ANY, multiple=1)[-1]
    assert {lr.shape for lr in windows} == {(1, 5, *size, 3)}
    compared = check_frames(network, ANY, degradation="bi")[-1].lr
    assert min(np.abs(lr.astype(int) - compared).mean() for lr in windows) > 5
    clip = sample_frames(121)
    top, left = ((have - want) // 2 for have, want in zip((360, 640), size, strict=True))
    first = clip[24:29, top : top + size[0], left : left + size[1]]
    np.testing.assert_array_equal(windows[0][0], first)


def test_frames_fit_the_graph_and_the_network(package: Package) -> None:
    network = package.spec.network
    fixed = ShapeRange((400, 400), (700, 700), (1, 1))  # larger than the clip
    assert rounding_frames(network, fixed, degradation="bd")[1].shape == (1, 5, 400, 700, 3)
    state = replace(network, window=2, state=(StateSpec("hidden", 4, 1),), size_multiple=4)
    extent = shape_range_of((), multiple=4)
    height, width = check_sizes(extent, multiple=4)[-1]
    windows = rounding_frames(state, extent, degradation="bi")
    assert {lr.shape for lr in windows} == {(STEPS, 2, height, width, 3)}
