"""Int8 graphs, judged by what other programs make of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from vsrc.calibration.calibration_file import QAT, Calibration
from vsrc.calibration.convolutions import BILINEAR, convolutions
from vsrc.calibration.qdq import quantise_weight
from vsrc.export.graphs.check_frames import real_window
from vsrc.export.graphs.quantise import Int8Target, int8_graph
from vsrc.runtime.errors import MismatchError


@pytest.fixture(scope="module")
def lr() -> NDArray[np.uint8]:
    return real_window(3, height=48, width=64)


@pytest.fixture(scope="module")
def model(tiny_package: Path) -> onnx.ModelProto:
    return onnx.load(tiny_package / "graphs/fp32.onnx")


@pytest.fixture(scope="module")
def calibration(
    model: onnx.ModelProto,
    lr: NDArray[np.uint8],
    observed: Callable[[onnx.ModelProto, NDArray[np.uint8]], Calibration],
) -> Calibration:
    return observed(model, lr)


def _run(
    model: onnx.ModelProto,
    lr: NDArray[np.generic],
    *,
    names: list[str] | None = None,
    integer: bool = True,
    optimised: Path | None = None,
) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if not integer:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    if optimised:
        options.optimized_model_filepath = str(optimised)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(names, {"lr": lr}))


def _psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def test_every_convolution_is_known_by_its_module_path(model: onnx.ModelProto) -> None:
    keys = [one.key for one in convolutions(model.graph)]
    assert keys == ["encoder", "fusion", "body.0", "body.1", "body.2", "body.3", "tail"]


@pytest.mark.parametrize("target", ["nvidia", "cpu"])
def test_pictures_are_near_those_of_fp32(
    model: onnx.ModelProto, calibration: Calibration, lr: NDArray[np.uint8], target: Int8Target
) -> None:
    int8 = int8_graph(model, calibration, target=target)
    onnx.checker.check_model(int8, full_check=True)
    (reference,), (exact,) = _run(model, lr), _run(int8, lr, integer=False)
    # Untrained weights: a trained edge-s has 50 dB (docs/calibration.md).
    assert _psnr(exact, reference) > 38
    assert (exact != reference).any()  # it did change something


def test_cpu_graph_runs_on_integer_kernels_and_they_give_its_numbers(
    model: onnx.ModelProto, calibration: Calibration, lr: NDArray[np.uint8], tmp_path: Path
) -> None:
    int8 = int8_graph(model, calibration, target="cpu")
    (integer,) = _run(int8, lr, optimised=tmp_path / "seen.onnx")
    (exact,) = _run(int8, lr, integer=False)
    # Both round where a value lies between two steps, not always to the same side.
    assert np.abs(integer.astype(int) - exact).max() <= 2
    kinds = [node.op_type for node in onnx.load(tmp_path / "seen.onnx").graph.node]
    assert kinds.count("QLinearConv") == 7
    assert kinds.count("Conv") == 1  # the bilinear skip
    assert "FusedConv" not in kinds


def test_runtime_leaves_the_weights_of_a_float_layer_alone(
    model: onnx.ModelProto, calibration: Calibration, lr: NDArray[np.uint8], tmp_path: Path
) -> None:
    # Between quantised neighbours ONNX Runtime would quantise them itself, one scale for all.
    kept = dataclasses.replace(calibration, float_layers=("body.1",))
    int8 = int8_graph(model, kept, target="cpu")
    onnx.checker.check_model(int8, full_check=True)
    (integer,) = _run(int8, lr, optimised=tmp_path / "seen.onnx")
    (exact,) = _run(int8, lr, integer=False)
    assert np.abs(integer.astype(int) - exact).max() <= 2
    kinds = [node.op_type for node in onnx.load(tmp_path / "seen.onnx").graph.node]
    assert kinds.count("QLinearConv") == 6


def test_same_arguments_give_the_same_bytes_and_leave_the_model(
    model: onnx.ModelProto, calibration: Calibration
) -> None:
    before = model.SerializeToString(deterministic=True)
    for target in ("nvidia", "cpu"):
        one, other = (int8_graph(model, calibration, target=target) for _ in range(2))
        assert one.SerializeToString() == other.SerializeToString()
    assert model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("target", ["nvidia", "cpu"])
def test_float_layers_keep_their_weights(
    model: onnx.ModelProto, calibration: Calibration, target: Int8Target
) -> None:
    kept = dataclasses.replace(calibration, float_layers=("encoder", "tail"))
    graph = int8_graph(model, kept, target=target).graph
    left = [one.key for one in convolutions(graph)]
    assert left == ["encoder", "tail"]  # the others read a DequantizeLinear


def test_nvidia_graph_is_symmetric_and_leaves_biases_float(
    model: onnx.ModelProto, calibration: Calibration
) -> None:
    graph = int8_graph(model, calibration, target="nvidia").graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = constants[node.input[2]]
            assert zero.dtype == np.int8
            assert not zero.any()
        if node.op_type == "Conv" and node.input[1] != BILINEAR:
            assert [makers[name].op_type for name in node.input[:2]] == ["DequantizeLinear"] * 2
            assert constants[node.input[2]].dtype == np.float32


def test_weights_trained_for_int8_are_rounded_as_in_training(
    model: onnx.ModelProto, calibration: Calibration
) -> None:
    def weights(given: Calibration) -> NDArray[np.int8]:
        graph = int8_graph(model, given, target="nvidia").graph
        (tensor,) = [t for t in graph.initializer if t.name == "network.tail.weight_int8"]
        return numpy_helper.to_array(tensor)

    (exact,) = [t for t in model.graph.initializer if t.name == "network.tail.weight"]
    nearest, _ = quantise_weight(numpy_helper.to_array(exact), axis=0)
    learnt = dataclasses.replace(calibration, method=QAT)
    np.testing.assert_array_equal(weights(learnt), nearest)
    assert (weights(calibration) != nearest).any()


def test_shared_input_has_one_pair(calibration: Calibration) -> None:
    # One tensor into two convolutions with equal ranges: one Q/DQ pair.
    helper = onnx.helper
    weight = np.ones((2, 2, 1, 1), np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "a.weight"], ["y"], name="first"),
            helper.make_node("Conv", ["x", "b.weight"], ["z"], name="second"),
        ],
        "shared",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 2, 4, 4])],
        [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, 2, 4, 4]) for n in "yz"],
        [numpy_helper.from_array(weight, f"{n}.weight") for n in "ab"],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    both = dataclasses.replace(calibration, ranges={"a": (0.0, 1.0), "b": (-1.0, 0.5)}, outputs={})
    int8 = int8_graph(model, both, target="nvidia")
    onnx.checker.check_model(int8, full_check=True)
    kinds = [node.op_type for node in int8.graph.node]
    assert kinds.count("QuantizeLinear") == 1


def test_features_that_a_graph_gives_come_from_an_integer_kernel(
    calibration: Calibration, tmp_path: Path
) -> None:
    # As an encode graph: Conv, Relu, and the result is the features.
    helper, rng = onnx.helper, np.random.default_rng(0)
    weight = rng.normal(size=(4, 2, 3, 3)).astype(np.float32)
    bias = rng.normal(size=4).astype(np.float32)
    x = rng.random((1, 2, 9, 8), dtype=np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["lr", "a.weight", "a.bias"], ["y"], name="only"),
            helper.make_node("Relu", ["y"], ["features"], name="relu"),
        ],
        "encode",
        [helper.make_tensor_value_info("lr", onnx.TensorProto.FLOAT, list(x.shape))],
        [helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, [1, 4, 7, 6])],
        [numpy_helper.from_array(weight, "a.weight"), numpy_helper.from_array(bias, "a.bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    (expected,) = _run(model, x)
    known = dataclasses.replace(
        calibration, ranges={"a": (0.0, 1.0)}, outputs={"a": (-9.0, float(expected.max()))}
    )
    int8 = int8_graph(model, known, target="cpu")
    onnx.checker.check_model(int8, full_check=True)
    (found,) = _run(int8, x, optimised=tmp_path / "seen.onnx")
    assert "QLinearConv" in [n.op_type for n in onnx.load(tmp_path / "seen.onnx").graph.node]
    # Weights of 7 bits: a part in 128 of the largest, over 18 products.
    np.testing.assert_allclose(found, expected, atol=0.02 * expected.max())


@pytest.mark.parametrize("target", ["nvidia", "cpu"])
def test_convolution_that_reads_pictures_has_its_range_in_their_unit(
    calibration: Calibration, target: Int8Target
) -> None:
    # The simplifier folds 1/255 into the weights: the range of the module, 0..1, is 0..255 here.
    helper, rng = onnx.helper, np.random.default_rng(0)
    weight = (rng.normal(size=(4, 3, 3, 3)) / 255).astype(np.float32)
    x = rng.integers(0, 256, (1, 9, 8, 3), dtype=np.uint8)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["lr"], ["cast"], name="cast", to=onnx.TensorProto.FLOAT),
            helper.make_node("Transpose", ["cast"], ["x"], name="turn", perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["x", "a.weight"], ["y"], name="only"),
        ],
        "folded",
        [helper.make_tensor_value_info("lr", onnx.TensorProto.UINT8, list(x.shape))],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 4, 7, 6])],
        [numpy_helper.from_array(weight, "a.weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    (expected,) = _run(model, x)
    reach = float(np.abs(expected).max())
    known = dataclasses.replace(
        calibration, ranges={"a": (0.0, 1.0)}, outputs={"a": (-reach, reach)}
    )
    (found,) = _run(int8_graph(model, known, target=target), x, integer=False)
    np.testing.assert_allclose(found, expected, atol=0.03 * reach)


def test_half_graph_gets_half_scales_at_the_first_opset_that_has_them(
    calibration: Calibration,
) -> None:
    helper = onnx.helper
    weight = np.linspace(-1, 1, 12, dtype=np.float16).reshape(2, 6, 1, 1)
    half = onnx.TensorProto.FLOAT16
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "network.a.weight"], ["y"], name="only")],
        "half",
        [helper.make_tensor_value_info("x", half, [1, 6, 4, 4])],
        [helper.make_tensor_value_info("y", half, [1, 2, 4, 4])],
        [numpy_helper.from_array(weight, "network.a.weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    one = dataclasses.replace(calibration, ranges={"a": (0.0, 1.0)}, outputs={})
    int8 = int8_graph(model, one, target="nvidia")
    onnx.checker.check_model(int8, full_check=True)
    assert int8.opset_import[0].version == 19
    scales = [t for t in int8.graph.initializer if t.name.endswith("_scale")]
    assert {tensor.data_type for tensor in scales} == {half}


def test_weights_are_within_half_a_step() -> None:
    weight = np.random.default_rng(3).normal(size=(4, 5, 3, 3)).astype(np.float32)
    weight[1] = 0
    small, scale = quantise_weight(weight, axis=0)
    error = np.abs(small * scale.reshape(-1, 1, 1, 1) - weight)
    assert (error <= scale.reshape(-1, 1, 1, 1) * 0.5001).all()
    assert np.abs(small).max() == 127
    assert not small[1].any()


def test_calibration_of_another_network_is_refused(model: onnx.ModelProto) -> None:
    other = Calibration("minmax", {"conv_first": (0.0, 1.0)})
    with pytest.raises(MismatchError, match=r"body\.0, body\.1, body\.2\): .*--overwrite"):
        int8_graph(model, other, target="nvidia")


def test_ranges_of_zero_are_refused(model: onnx.ModelProto) -> None:
    black = Calibration("minmax", {one.key: (0.0, 0.0) for one in convolutions(model.graph)})
    for target in ("nvidia", "cpu"):
        with pytest.raises(MismatchError, match="float_layers"):
            int8_graph(model, black, target=target)


def test_nvidia_builder_takes_it(model: onnx.ModelProto, calibration: Calibration) -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, trt.Logger(trt.Logger.ERROR))
    int8 = int8_graph(model, calibration, target="nvidia")
    assert parser.parse(int8.SerializeToString()), parser.get_error(0)
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    for height, width in [(90, 160)]:
        shape = (1, 3, height, width, 3)
        profile.set_shape("lr", shape, shape, shape)
    config.add_optimization_profile(profile)
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    assert builder.build_serialized_network(network, config)
