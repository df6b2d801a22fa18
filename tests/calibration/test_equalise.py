"""Balanced channels: the same function, ranges as announced, and nothing touched that is shared."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from vsrc.calibration.calibration_file import Equalised
from vsrc.calibration.equalise import USUAL_SHARE, balance, equalise, pairs
from vsrc.calibration.fidelity import Fidelity, psnr_or_none
from vsrc.calibration.observer import Observer
from vsrc.runtime.sample import sample_frames


@pytest.fixture(scope="module")
def windows() -> list[NDArray[np.uint8]]:
    frames = sample_frames(5)
    return [frames[None, at : at + 3, 40:88, 60:124].copy() for at in range(3)]


@pytest.fixture(scope="module")
def model(tiny_package: Path) -> onnx.ModelProto:
    return onnx.load(tiny_package / "graphs/fp32.onnx")


def test_function_stays_and_ranges_are_as_announced(
    model: onnx.ModelProto, windows: list[NDArray[np.uint8]]
) -> None:
    observer = Observer(model, threads=1)
    for window in windows:
        observer.see(window)
    factors = balance(model, observer)
    # Frames lie between the encoder and the fusion: no pair.
    assert list(factors) == ["fusion", "body.0", "body.1", "body.2", "body.3"]
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    assert equalise(changed, factors) == set(factors)
    error = Fidelity(model, windows, threads=1).error(changed)
    assert (psnr_or_none(error) or 999) > 110  # nothing but float32 rounding
    after = Observer(changed, threads=1)
    for window in windows:
        after.see(window)
    for first, one in factors.items():
        found = after.inputs[one.second]
        assert (found.low, found.high) == pytest.approx(one.input, rel=1e-3, abs=1e-6)
        given = after.outputs[first]
        assert (given.low, given.high) == pytest.approx(one.output, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(("share", "left"), [(USUAL_SHARE, 0.7), (1.0, 0.5)])
def test_channels_reach_more_alike(
    model: onnx.ModelProto, windows: list[NDArray[np.uint8]], share: float, left: float
) -> None:
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    spread = []
    observer = Observer(model, threads=1)
    for watching in (observer, None):
        if watching is None:
            equalise(changed, balance(model, observer, share=share))
            watching = Observer(changed, threads=1)
        for window in windows:
            watching.see(window)
        _, high = watching.read["body.2"]
        spread.append(float(np.log(high[high > 0]).std()))
    assert spread[1] < left * spread[0]


def _chain(*, shared: bool = False, read_twice: bool = False) -> onnx.ModelProto:
    """Conv, Relu, Conv; the second may share its weight, or the tensor between be read again."""
    rng = np.random.default_rng(0)
    names = ["a.weight", "a.weight" if shared else "b.weight"]
    nodes = [
        helper.make_node("Conv", ["x", names[0]], ["y"], name="first"),
        helper.make_node("Relu", ["y"], ["z"], name="relu"),
        helper.make_node("Conv", ["z", names[1]], ["out"], name="second"),
    ]
    results = ["out"]
    if read_twice:
        nodes.append(helper.make_node("Neg", ["z"], ["again"], name="again"))
        results.append("again")
    weights = {name: rng.normal(size=(2, 2, 1, 1)).astype(np.float32) for name in names}
    picture = [1, 2, 4, 4]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, picture)],
        [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, picture) for n in results],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


@pytest.mark.parametrize(("shared", "read_twice"), list(itertools.product([False, True], repeat=2)))
def test_only_a_pair_of_their_own_is_changed(shared: bool, read_twice: bool) -> None:
    model = _chain(shared=shared, read_twice=read_twice)
    assert len(pairs(model.graph)) == (not shared and not read_twice)
    before = model.SerializeToString()
    other = Equalised("c", (2.0, 0.5), (0.0, 1.0), (0.0, 1.0))
    assert equalise(model, {"a": other}) == set()  # factors of another pair
    assert model.SerializeToString() == before


@pytest.mark.parametrize("activation", ["Relu", "LeakyRelu", "PRelu"])
def test_factors_pass_through_the_activation(activation: str) -> None:
    model = _chain()
    node = model.graph.node[1]
    node.op_type = activation
    if activation == "PRelu":
        node.input.append("slope")
        slope = np.array([[[0.1]], [[-0.4]]], np.float32)
        model.graph.initializer.append(numpy_helper.from_array(slope, "slope"))
    x = np.random.default_rng(1).normal(size=(1, 2, 4, 4)).astype(np.float32)
    expected = _evaluated(model, x)
    factors = {"a": Equalised("b", (4.0, 0.25), (0.0, 1.0), (0.0, 1.0))}
    before = model.SerializeToString()
    assert equalise(model, factors) == {"a"}
    assert model.SerializeToString() != before
    found = _evaluated(model, x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_channels_are_balanced_by_how_far_they_reach_before_a_prelu(
    windows: list[NDArray[np.uint8]],
) -> None:
    # Channel 0 reaches -100 and comes out of its slope as -0.1; channel 1 lies in 0..1.
    model = _chain()
    node = model.graph.node[1]
    node.op_type = "PRelu"
    node.input.append("slope")
    values: dict[str, NDArray[np.float32]] = {
        "a.weight": np.array([[-100, 0], [0, 1]], np.float32).reshape(2, 2, 1, 1) / np.float32(255),
        "b.weight": np.ones((2, 2, 1, 1), np.float32),
    }
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(values[tensor.name], tensor.name))
    slope = np.array([[[0.001]], [[1.0]]], np.float32)
    two = np.array([0, 1], np.int64)
    model.graph.initializer.extend(
        [numpy_helper.from_array(slope, "slope"), numpy_helper.from_array(two, "two")]
    )
    entry = [
        helper.make_node("Cast", ["lr"], ["cast"], to=onnx.TensorProto.FLOAT, name="cast"),
        helper.make_node("Gather", ["cast", "two"], ["pair"], axis=4, name="pair"),
        helper.make_node("Gather", ["pair", "at"], ["frame"], axis=1, name="frame"),
        helper.make_node("Transpose", ["frame"], ["x"], perm=[0, 3, 1, 2], name="turn"),
    ]
    model.graph.initializer.append(numpy_helper.from_array(np.array(0, np.int64), "at"))
    for place, each in enumerate(entry):
        model.graph.node.insert(place, each)
    shape: list[str | int | None] = ["n", 3, "h", "w", 3]
    value = helper.make_tensor_value_info("lr", onnx.TensorProto.UINT8, shape)
    model.graph.input[0].CopyFrom(value)
    out = helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, ["n", 2, "h", "w"])
    model.graph.output[0].CopyFrom(out)
    observer = Observer(model, threads=1)
    observer.see(windows[0])
    gave = np.abs(observer.gave["a"]).max(axis=0)
    assert gave[0] > 50 * gave[1]
    balanced = gave / np.array(balance(model, observer)["a"].scales)
    assert balanced.max() < 5 * balanced.min()


def _evaluated(model: onnx.ModelProto, x: NDArray[np.float32]) -> NDArray[np.float32]:
    results = ReferenceEvaluator(model).run(None, {"x": x})
    assert isinstance(results, list)
    return np.asarray(results[0])
