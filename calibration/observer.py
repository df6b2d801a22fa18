"""Watch what convolutions read and give while windows pass through the graph.

    x ──┬── Conv ── y          low, high    over the whole tensor, found inside the graph
        ├── ReduceMin, ReduceMax            sample  every fifth row and column, for the histogram
        └── Slice [::5, ::5]

Whole tensors never leave the graph, so memory stays near that of plain inference. Five divides no
usual scale: the sample sees every phase of a pixel shuffle.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vsrc.calibration.convolutions import convolutions
from vsrc.calibration.histogram import Histogram
from vsrc.calibration.ort_graph import open_model
from vsrc.runtime.errors import MismatchError

if TYPE_CHECKING:
    import onnx

_GRID = 5


class Observer:
    """A graph with histograms on the input and output of each convolution.

    Attributes:
        inputs: Convolution -> what it read.
        outputs: Convolution -> what it gave, before any activation.
    """

    def __init__(self, model: onnx.ModelProto, *, threads: int, grid: int = _GRID) -> None:
        self._found = convolutions(model.graph)
        if not self._found:
            raise MismatchError("the graph has no convolution: there is nothing to calibrate")
        tensors = dict.fromkeys(name for one in self._found for name in (one.input, one.output))
        self._tensors = {name: f"seen_{at}" for at, name in enumerate(tensors)}
        self._session = open_model(_watched(model, self._tensors, grid), threads=threads)
        self._names = [
            f"{seen}_{what}" for seen in self._tensors.values() for what in ("low", "high", "part")
        ]
        self.inputs: dict[str, Histogram] = {one.key: Histogram() for one in self._found}
        self.outputs: dict[str, Histogram] = {one.key: Histogram() for one in self._found}

    def see(self, lr: NDArray[np.uint8]) -> None:
        """Pass one batch of windows through.

        Args:
            lr: `(N, T, H, W, 3)` uint8, as the graph takes it.

        Raises:
            MismatchError: A value inside the network is not finite.
        """
        results = iter(self._session.run(self._names, {"lr": lr}))
        values = {
            name: (float(next(results)), float(next(results)), next(results))
            for name in self._tensors
        }
        for one in self._found:
            sides = ((one.input, self.inputs, one.unit), (one.output, self.outputs, 1.0))
            for tensor, kept, unit in sides:
                low, high, part = values[tensor]
                if not (np.isfinite(low) and np.isfinite(high)):
                    raise MismatchError(
                        f"{one.key}: its values reach [{low}, {high}] on real frames; a network "
                        "that overflows cannot be made int8"
                    )
                part = part if unit == 1 else part / np.float32(unit)
                kept[one.key].add(part, low=low / unit, high=high / unit)

    def state(self) -> bytes:
        """Everything seen so far, for `restore`."""
        both = self._histograms()
        file = io.BytesIO()
        np.savez_compressed(
            file,
            counts=np.stack([one.counts for one in both]),
            exponents=np.array([one.exponent for one in both]),
            ends=np.array([(one.low, one.high) for one in both]),
        )
        return file.getvalue()

    def restore(self, state: bytes) -> None:
        """Go on from a state of the same graph."""
        with np.load(io.BytesIO(state), allow_pickle=False) as data:
            for one, counts, exponent, (low, high) in zip(
                self._histograms(), data["counts"], data["exponents"], data["ends"], strict=True
            ):
                one.counts[:] = counts
                one.exponent, one.low, one.high = int(exponent), float(low), float(high)

    def _histograms(self) -> list[Histogram]:
        return [*self.inputs.values(), *self.outputs.values()]


def _watched(model: onnx.ModelProto, tensors: Mapping[str, str], grid: int) -> onnx.ModelProto:
    """A copy of the graph that gives out what is known of each tensor, and nothing else."""
    from onnx import TensorProto, helper, numpy_helper

    assert not any(value.name in tensors for value in model.graph.input)  # frames enter as uint8
    result = type(model)()
    result.CopyFrom(model)
    graph = result.graph
    for name, value in (("seen_zero", [0, 0]), ("seen_end", [2**31, 2**31])):
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), name))
    for name, value in (("seen_axes", [2, 3]), ("seen_steps", [grid, grid])):
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), name))
    cut = ["seen_zero", "seen_end", "seen_axes", "seen_steps"]
    # Each is looked at right after it was made, so that it need not live on.
    ordered = [one for node in graph.node for one in (node, *_looks(node, tensors, cut))]
    del graph.node[:]
    graph.node.extend(ordered)
    del graph.output[:]
    graph.output.extend(
        helper.make_tensor_value_info(f"{seen}_{what}", TensorProto.FLOAT, None)
        for seen in tensors.values()
        for what in ("low", "high", "part")
    )
    return result


def _looks(
    node: onnx.NodeProto, tensors: Mapping[str, str], cut: list[str]
) -> list[onnx.NodeProto]:
    """The nodes that look at what a node gives."""
    from onnx import helper

    looks = []
    for tensor in node.output:
        if seen := tensors.get(tensor):
            looks += [
                helper.make_node("ReduceMin", [tensor], [f"{seen}_low"], keepdims=0),
                helper.make_node("ReduceMax", [tensor], [f"{seen}_high"], keepdims=0),
                helper.make_node("Slice", [tensor, *cut], [f"{seen}_part"]),
            ]
    return looks
