"""Output of a graph by QuantizeLinear, judged by the same graph with Clip, Round and Cast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from vsrc.export.checks.unrounded import unround
from vsrc.export.graphs.bilinear_skip import fold_bilinear_skip
from vsrc.export.graphs.byte_output import quantise_output

Traced = Callable[..., tuple[onnx.ModelProto, Any]]


def _run(model: onnx.ModelProto, lr: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"lr": lr})[0])


@pytest.mark.parametrize("folds", [False, True])
def test_images_are_the_same(traced: Traced, folds: bool) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(traced(2)[0])
    if folds:  # without it a Transpose stands before the Cast
        fold_bilinear_skip(model)
    lr = np.random.default_rng(0).integers(0, 256, (2, 3, 9, 14, 3), dtype=np.uint8)
    expected, exact = _run(model, lr), _run(unround(model), lr)
    assert quantise_output(model) == 1
    onnx.checker.check_model(model, full_check=True)
    kinds = [node.op_type for node in model.graph.node]
    assert not {"Round", "Clip"} & set(kinds)
    assert kinds.count("Cast") == 1  # of the input
    read = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= read  # or a warning of each
    found = _run(model, lr)
    ties = np.abs(np.moveaxis(exact, 1, -1) % 1 - 0.5) < 1e-4
    np.testing.assert_array_equal(found[~ties], expected[~ties])
    np.testing.assert_allclose(_run(unround(model), lr), exact, rtol=0, atol=1e-3)


def test_float_output_is_left_alone(traced: Traced) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(traced(2, "float")[0])
    before = model.SerializeToString(deterministic=True)
    assert quantise_output(model) == 0
    assert model.SerializeToString(deterministic=True) == before
