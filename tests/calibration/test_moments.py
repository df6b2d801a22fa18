"""Second moments of what convolutions read, judged by torch's unfold and a walk over all pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from vsrc.calibration.moments import measure_moments


def graph_of(shape: tuple[int, ...], **attributes: Any) -> onnx.ModelProto:  # noqa: ANN401
    """A graph of one convolution named `layer`."""
    weight = np.ones(shape, np.float32)
    node = helper.make_node("Conv", ["lr", "network.layer.weight"], ["sr"], name="c", **attributes)
    frames = helper.make_tensor_value_info("lr", TensorProto.FLOAT, [1, None, None, None])
    result = helper.make_tensor_value_info("sr", TensorProto.FLOAT, None)
    constant = numpy_helper.from_array(weight, "network.layer.weight")
    graph = helper.make_graph([node], "g", [frames], [result], [constant])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def frames(channels: int, height: int, width: int, *, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((1, channels, height, width), np.float32)


@pytest.mark.parametrize("stride", [1, 2])
def test_they_are_those_of_torchs_patches(stride: int) -> None:
    torch = pytest.importorskip("torch")
    model = graph_of((2, 3, 3, 3), pads=[1, 1, 0, 0], strides=[stride, stride])
    windows = [frames(3, 20, 24, seed=seed) for seed in range(3)]
    found = measure_moments(model, [{"lr": each} for each in windows])["layer"]
    patches = []
    for each in windows:
        padded = torch.nn.functional.pad(torch.from_numpy(each), (1, 0, 1, 0))
        patches.append(torch.nn.functional.unfold(padded, 3, stride=stride)[0].T)
    rows = torch.cat(patches).double()
    np.testing.assert_allclose(found, (rows.T @ rows / len(rows)).numpy(), rtol=1e-6)


def test_large_frames_are_sampled() -> None:
    smooth = np.add.outer(np.arange(300), np.arange(400))[None, None].astype(np.float32) / 700
    (found,) = measure_moments(graph_of((1, 1, 1, 1)), [{"lr": smooth}]).values()
    corner = smooth[0, 0, :96, :96].astype(np.float64)
    assert found.item() == pytest.approx(np.mean(corner**2), rel=0.01)


@pytest.mark.parametrize(
    ("shape", "attributes", "size"),
    [
        ((4, 1, 3, 3), {"group": 4}, (20, 20)),
        ((2, 3, 3, 3), {"dilations": [2, 2]}, (20, 20)),
        ((2, 200, 3, 3), {}, (50, 50)),  # too wide
        ((2, 64, 1, 1), {}, (1, 1)),  # an average of the frame
        ((2, 3, 3, 3), {}, (2, 2)),  # smaller than its kernel
    ],
)
def test_what_is_left_out(
    shape: tuple[int, ...], attributes: dict[str, Any], size: tuple[int, int]
) -> None:
    channels = shape[1] * attributes.get("group", 1)
    pads = [1, 1, 1, 1] if size == (2, 2) else [0, 0, 0, 0]
    model = graph_of(shape, pads=pads, **attributes)
    assert measure_moments(model, [{"lr": frames(channels, *size, seed=0)}]) == {}


def test_frames_of_zeros_tell_nothing() -> None:
    model = graph_of((2, 3, 3, 3), pads=[1, 1, 1, 1])
    assert measure_moments(model, [{"lr": np.zeros((1, 3, 30, 30), np.float32)}]) == {}
