"""The bilinear skip as a convolution, judged by torch's own bilinear upscaling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

from vsrc.calibration.convolutions import convolutions
from vsrc.export.checks.tensorrt_operators import find_refused_operators
from vsrc.export.checks.unrounded import unround
from vsrc.export.graphs.bilinear_skip import bilinear_taps, fold_bilinear_skip
from vsrc.export.graphs.check_frames import real_window

Traced = Callable[..., tuple[onnx.ModelProto, Any]]


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    result = onnx.ModelProto()
    result.CopyFrom(model)
    return result


def _run(model: onnx.ModelProto, lr: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"lr": lr})[0])


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 5, 6])
def test_taps_upscale_as_torch_does(scale: int) -> None:
    frame = np.random.default_rng(scale).integers(0, 256, (5, 7))
    taps, denominator = bilinear_taps(scale)
    around = np.pad(frame, 1, mode="edge")
    views = np.lib.stride_tricks.sliding_window_view(around, (3, 3))
    upscaled = np.einsum("yxij,pqij->ypxq", views, taps).reshape(5 * scale, 7 * scale)
    expected = F.interpolate(
        torch.from_numpy(frame[None, None]).double(),
        scale_factor=float(scale),
        mode="bilinear",
        align_corners=False,
    )[0, 0]
    np.testing.assert_allclose(upscaled / denominator, expected, rtol=0, atol=1e-9)
    assert (taps.sum(axis=(2, 3)) == denominator).all()


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_images_are_those_of_torch(traced: Traced, scale: int) -> None:
    model, network = traced(scale)
    folded = _copy(model)
    assert fold_bilinear_skip(folded) == 1
    onnx.checker.check_model(folded, full_check=True)
    lr = np.random.default_rng(0).integers(0, 256, (2, 3, 9, 14, 3), dtype=np.uint8)
    with torch.inference_mode():
        sr = network(torch.from_numpy(lr).permute(0, 1, 4, 2, 3).float() / 255)
    expected = (sr * 255).clamp(0, 255).numpy()
    np.testing.assert_allclose(_run(unround(folded), lr), expected, rtol=0, atol=2e-3)
    pictures = np.moveaxis(_run(folded, lr).astype(float), -1, 1)
    assert np.abs(pictures - expected).max() < 0.51


def test_nothing_is_left_of_resize_and_shuffle_and_keys_stay(traced: Traced) -> None:
    model, _ = traced(4)
    folded = _copy(model)
    fold_bilinear_skip(folded)
    kinds = [node.op_type for node in folded.graph.node]
    assert not {"Resize", "DepthToSpace"} & set(kinds)
    assert kinds[-2:] == ["Round", "Cast"]  # what NVIDIA's parser demands
    assert find_refused_operators(folded) == ()
    keys = [conv.key for conv in convolutions(model.graph)]
    assert [conv.key for conv in convolutions(folded.graph)] == keys


def test_float_graphs_keep_planes(traced: Traced) -> None:
    model, network = traced(2, "float")
    folded = _copy(model)
    assert fold_bilinear_skip(folded) == 1
    onnx.checker.check_model(folded, full_check=True)
    lr = real_window(3, height=9, width=14).transpose(0, 1, 4, 2, 3).astype(np.float32) / 255
    with torch.inference_mode():
        expected = network(torch.from_numpy(lr)).clamp(0, 1).numpy()
    np.testing.assert_allclose(_run(folded, lr), expected, rtol=0, atol=1e-5)
    assert "Resize" not in [node.op_type for node in folded.graph.node]


@pytest.mark.parametrize(
    ("operator", "attribute", "value"),
    [
        ("Resize", "mode", "cubic"),
        ("Resize", "coordinate_transformation_mode", "align_corners"),
        ("DepthToSpace", "mode", "DCR"),
    ],
)
def test_other_skips_are_left_alone(
    traced: Traced, operator: str, attribute: str, value: str
) -> None:
    model = _copy(traced(2)[0])
    (node,) = [node for node in model.graph.node if node.op_type == operator]
    (known,) = [each for each in node.attribute if each.name == attribute]
    known.s = value.encode()
    before = model.SerializeToString(deterministic=True)
    assert fold_bilinear_skip(model) == 0
    assert model.SerializeToString(deterministic=True) == before


def test_skip_whose_scale_is_another_is_left_alone(traced: Traced) -> None:
    model = _copy(traced(2)[0])
    (resize,) = [node for node in model.graph.node if node.op_type == "Resize"]
    (scales,) = [t for t in model.graph.initializer if t.name == resize.input[2]]
    scales.CopyFrom(onnx.numpy_helper.from_array(np.array([1, 1, 4, 4], np.float32), scales.name))
    assert fold_bilinear_skip(model) == 0
