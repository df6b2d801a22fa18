"""Int8 graphs that compute on bytes from end to end, judged by torch and by ONNX Runtime."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from onnx import numpy_helper

from vsrc.calibration.calibration_file import Calibration
from vsrc.calibration.convolutions import BILINEAR
from vsrc.calibration.ort_graph import open_model
from vsrc.export.checks.unrounded import unround
from vsrc.export.graphs.bilinear_skip import bilinear_taps, fold_bilinear_skip
from vsrc.export.graphs.byte_tail import quantise_tail
from vsrc.export.graphs.check_frames import real_window
from vsrc.export.graphs.quantise import int8_graph
from vsrc.export.graphs.quantise_cpu import WEIGHT_LEVELS

Traced = Callable[..., tuple[onnx.ModelProto, Any]]
Observed = Callable[[onnx.ModelProto, NDArray[np.uint8]], Calibration]
SCALES = (2, 3, 4)


@pytest.fixture(scope="module")
def lr() -> NDArray[np.uint8]:
    return real_window(3, height=24, width=37)


@pytest.fixture(scope="module", params=SCALES)
def folded(traced: Traced, request: pytest.FixtureRequest) -> onnx.ModelProto:
    return _folded(traced, request.param)


def _folded(traced: Traced, scale: int) -> onnx.ModelProto:
    model = onnx.ModelProto()
    model.CopyFrom(traced(scale)[0])
    fold_bilinear_skip(model)
    return model


def _integer(model: onnx.ModelProto, lr: np.ndarray, seen: Path | None = None) -> np.ndarray:
    """Pictures as deployed, on integer kernels."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if seen:
        options.optimized_model_filepath = str(seen)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"lr": lr})[0])


def _exact(model: onnx.ModelProto, lr: np.ndarray) -> np.ndarray:
    """Pictures without integer kernels."""
    return np.asarray(open_model(model, threads=1).run(None, {"lr": lr})[0])


def _without_residual(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network whose tail gives nothing."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for tensor in result.graph.initializer:
        if tensor.name.startswith("network.tail."):
            array = np.zeros(tensor.dims, np.float32)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return result


def _has_skip(model: onnx.ModelProto) -> bool:
    """Whether the frame is upscaled in float, apart from the residual."""
    return any(BILINEAR in node.input for node in model.graph.node)


def _scale(model: onnx.ModelProto) -> int:
    (weight,) = [t for t in model.graph.initializer if t.name == "network.tail.weight"]
    return int((weight.dims[0] / 3) ** 0.5)


def test_flat_frames_come_back_exactly(
    folded: onnx.ModelProto, observed: Observed, lr: NDArray[np.uint8]
) -> None:
    scale = _scale(folded)
    int8 = int8_graph(_without_residual(folded), observed(folded, lr), target="cpu")
    levels = np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1, 1)
    flat = np.broadcast_to(levels, (256, 3, 4, 5, 3)).copy()
    expected = np.broadcast_to(levels[:, 0], (256, 4 * scale, 5 * scale, 3))
    for run in (_integer, _exact):
        np.testing.assert_array_equal(run(int8, flat), expected)


def test_without_the_residual_frames_are_upscaled_as_torch_does(
    folded: onnx.ModelProto, observed: Observed, lr: NDArray[np.uint8]
) -> None:
    scale = _scale(folded)
    int8 = int8_graph(_without_residual(folded), observed(folded, lr), target="cpu")
    rng = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(9) * 11, np.arange(13) * 12).astype(np.uint8)
    frames = rng.integers(0, 256, (2, 3, 9, 13, 3), dtype=np.uint8)
    frames[0, 1] = ramp[:, :, None]
    centre = torch.from_numpy(frames[:, 1]).permute(0, 3, 1, 2).float()
    upscaled = F.interpolate(
        centre, scale_factor=float(scale), mode="bilinear", align_corners=False
    )
    expected = upscaled.permute(0, 2, 3, 1).numpy()
    for run in (_integer, _exact):
        difference = np.abs(run(int8, frames) - expected)
        assert difference.max() < 0.51  # rounded once, from the exact sum


def test_pictures_are_near_those_of_fp32_on_both_kinds_of_kernels(
    folded: onnx.ModelProto, observed: Observed, lr: NDArray[np.uint8], tmp_path: Path
) -> None:
    int8 = int8_graph(folded, observed(folded, lr), target="cpu")
    onnx.checker.check_model(int8, full_check=True)
    batch = np.concatenate([lr, lr[:, ::-1]])
    integer, exact = _integer(int8, batch, tmp_path / "seen.onnx"), _exact(int8, batch)
    reference = _integer(folded, batch)
    assert integer.shape == reference.shape
    assert np.abs(integer.astype(int) - exact).max() <= 1
    error = np.mean((integer.astype(float) - reference) ** 2)
    assert 10 * np.log10(255**2 / error) > 42
    assert (integer != reference).any()
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "seen.onnx").graph.node)
    assert kinds["QLinearConv"] == 3
    # All of it on bytes, and no layout change but those written.
    float_kinds = {"Conv", "FusedConv", "QuantizeLinear", "DequantizeLinear", "Cast", "Transpose"}
    assert not float_kinds & kinds.keys()


def test_unrounded_pictures_round_to_the_pictures(
    traced: Traced, observed: Observed, lr: NDArray[np.uint8]
) -> None:
    folded = _folded(traced, 4)
    int8 = int8_graph(folded, observed(folded, lr), target="cpu")
    planes = _exact(unround(int8), lr)
    assert planes.dtype == np.float32
    pictures = _exact(int8, lr)
    assert planes.shape == (1, 3, *pictures.shape[1:3])
    assert np.abs(np.moveaxis(planes, 1, -1) - pictures).max() <= 0.501


def test_layers_in_float_or_unknown_ranges_keep_the_graph_of_floats(
    traced: Traced, observed: Observed, lr: NDArray[np.uint8]
) -> None:
    folded = _folded(traced, 2)
    known = observed(folded, lr)
    kept = dataclasses.replace(known, float_layers=("tail",))
    silent = dataclasses.replace(known, ranges=known.ranges | {"tail": (0.0, 0.0)})
    for calibration in (kept, silent):
        int8 = int8_graph(folded, calibration, target="cpu")
        assert _has_skip(int8)
        reference, pictures = _integer(folded, lr), _integer(int8, lr)
        assert np.abs(pictures.astype(int) - reference).max() <= 4


def test_large_residuals_keep_the_graph_of_floats(
    traced: Traced, observed: Observed, lr: NDArray[np.uint8]
) -> None:
    folded = _folded(traced, 2)
    for tensor in folded.graph.initializer:
        if tensor.name == "network.tail.weight":
            array = np.float32(1e5) * numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    int8 = int8_graph(folded, observed(folded, lr), target="cpu")
    assert _has_skip(int8)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("side", [3, 5])
def test_tail_weights_keep_sums_and_taps_are_exact(scale: int, side: int) -> None:
    rng = np.random.default_rng(scale)
    weight = rng.normal(0, 0.02, (3 * scale**2, 6, side, side)).astype(np.float32)
    tail = quantise_tail(weight, reach=2.5, scale=scale)
    assert tail is not None
    steps = tail.steps[:, None, None, None]
    stored = weight * (tail.feature_scale * 255)
    errors = tail.features - stored / steps
    assert np.abs(errors).max() < 1
    assert np.abs(errors.sum(axis=(1, 2, 3))).max() <= 0.501
    assert np.abs(tail.features).max() <= WEIGHT_LEVELS
    assert np.abs(tail.frame).max() <= WEIGHT_LEVELS
    taps, denominator = bilinear_taps(scale)
    expected = np.zeros(tail.frame.shape)
    middle = slice(side // 2 - 1, side // 2 + 2)
    for channel in range(3 * scale**2):
        row, column = divmod(channel // 3, scale)
        expected[channel, channel % 3, middle, middle] = taps[row, column] / denominator
    np.testing.assert_allclose(tail.frame * steps, expected, rtol=1e-12)


def test_tail_that_does_not_fit_is_refused() -> None:
    weight = np.full((12, 4, 3, 3), 0.5, np.float32)
    assert quantise_tail(weight, reach=100.0, scale=2) is None
    pointwise = np.full((12, 4, 1, 1), 0.01, np.float32)
    assert quantise_tail(pointwise, reach=1.0, scale=2) is None
    coarse = np.full((3 * 8**2, 4, 3, 3), 0.01, np.float32)
    assert quantise_tail(coarse, reach=1.0, scale=8) is None  # taps of 225/256
