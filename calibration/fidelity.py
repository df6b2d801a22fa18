"""Compare the outputs of a graph with those of the fp32 graph, on real windows.

Outputs are compared before they are rounded to 8 bits: rounding alone is an error of 59 dB, which
would mask the small error of a single convolution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vsrc.calibration.ort_graph import (
    keep_outputs_of_state,
    open_model,
    run_in_order,
    state_of,
)

if TYPE_CHECKING:
    import onnx


class Fidelity:
    """Error of graphs against the outputs of the fp32 graph.

    Args:
        model: The fp32 graph.
        windows: LR windows, each `(1, T, H, W, 3)` uint8; with a state, those of L consecutive
            frames, `(L, T, H, W, 3)`, all of which are compared.
        threads: CPU threads, 0 for as many as there are cores.
    """

    def __init__(
        self, model: onnx.ModelProto, windows: Sequence[NDArray[np.uint8]], *, threads: int
    ) -> None:
        self._windows, self._threads = windows, threads
        self._answers = self._run(model)

    def error(self, model: onnx.ModelProto) -> float:
        """Mean squared difference to fp32, in units of (1/255)^2."""
        pairs = zip(self._run(model), self._answers, strict=True)
        errors = [
            float(np.mean((picture - other).astype(np.float64) ** 2)) for picture, other in pairs
        ]
        return float(np.mean(errors))

    def _run(self, model: onnx.ModelProto) -> list[NDArray[np.float32]]:
        session = open_model(_unround(model), threads=self._threads)
        name, state = session.get_outputs()[0].name, state_of(model)
        return [
            np.concatenate([sr for (sr,) in run_in_order(session, lr, state, [name])])
            for lr in self._windows
        ]


def psnr_or_none(error: float) -> float | None:
    """PSNR in dB of a mean squared difference in units of (1/255)^2; None if it is 0."""
    return None if error <= 0 else 10 * math.log10(255**2 / error)


def _unround(model: onnx.ModelProto) -> onnx.ModelProto:
    """Copy a graph so that it outputs the input of its last Round: `(N, ..., 3, H, W)`, 0..255."""
    from onnx import TensorProto, helper

    result = type(model)()
    result.CopyFrom(model)
    makers = {name: node for node in result.graph.node for name in node.output}
    node = makers[result.graph.output[0].name]
    while node.op_type in ("Cast", "Transpose"):
        node = makers[node.input[0]]
    assert node.op_type == "Round", "a graph with uint8 output ends with Round and Cast"
    rounded = node.input[0]
    while makers[rounded].op_type == "Cast":  # in an fp16 graph
        rounded = makers[rounded].input[0]
    following = keep_outputs_of_state(model)
    del result.graph.output[:]
    result.graph.output.append(helper.make_tensor_value_info(rounded, TensorProto.FLOAT, None))
    result.graph.output.extend(following)
    return result
