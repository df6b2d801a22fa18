"""Observe the inputs and outputs of convolutions while windows pass through the graph.

    x ──┬── Conv ── y          low, high    of each channel, over all values, computed in the graph
        ├── ReduceMin, ReduceMax            sample  every fifth row and column, for the histogram
        └── Slice [::5, ::5]

Whole tensors never leave the graph, so memory stays near that of plain inference. Five is
coprime to the usual scales: the sample contains every phase of a pixel shuffle.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vsrc.calibration.convolutions import convolutions
from vsrc.calibration.histogram import Histogram
from vsrc.calibration.ort_graph import (
    keep_outputs_of_state,
    open_model,
    run_in_order,
    state_of,
)
from vsrc.runtime.errors import MismatchError

if TYPE_CHECKING:
    import onnx

_GRID = 5

Reach = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Lowest and highest value of each channel, `(C,)` both."""


class Observer:
    """A graph with histograms on the input and output of each convolution.

    Attributes:
        inputs: Convolution -> histogram of its input.
        outputs: Convolution -> histogram of its output, before any activation.
        read: Convolution -> range of each channel of its input.
        gave: Convolution -> range of each channel of its output.
    """

    def __init__(self, model: onnx.ModelProto, *, threads: int, grid: int = _GRID) -> None:
        self._found = convolutions(model.graph)
        if not self._found:
            raise MismatchError("the graph has no convolution: there is nothing to calibrate")
        tensors = dict.fromkeys(name for conv in self._found for name in (conv.input, conv.output))
        self._tensors = {name: f"seen_{at}" for at, name in enumerate(tensors)}
        self._state = state_of(model)
        self._session = open_model(_add_statistics(model, self._tensors, grid), threads=threads)
        self._names = [
            f"{seen}_{what}" for seen in self._tensors.values() for what in ("low", "high", "part")
        ]
        self.inputs: dict[str, Histogram] = {conv.key: Histogram() for conv in self._found}
        self.outputs: dict[str, Histogram] = {conv.key: Histogram() for conv in self._found}
        self.read: dict[str, Reach] = {}
        self.gave: dict[str, Reach] = {}

    def see(self, lr: NDArray[np.uint8]) -> None:
        """Run one batch of windows and update the statistics.

        Args:
            lr: Windows in the input format of the graph, `(N, T, H, W, 3)` uint8. With a state,
                those of consecutive frames, of which the last is observed.

        Raises:
            MismatchError: A value inside the network is not finite.
        """
        results: Iterator[Any] = iter(run_in_order(self._session, lr, self._state, self._names)[-1])
        values = {name: (next(results), next(results), next(results)) for name in self._tensors}
        for conv in self._found:
            sides = (
                (conv.input, self.inputs, self.read, conv.unit),
                (conv.output, self.outputs, self.gave, 1.0),
            )
            for tensor, histograms, reaches, unit in sides:
                lows, highs, part = values[tensor]
                reach = lows.astype(np.float64) / unit, highs.astype(np.float64) / unit
                low, high = float(reach[0].min()), float(reach[1].max())
                if not (np.isfinite(low) and np.isfinite(high)):
                    raise MismatchError(
                        f"{conv.key}: its values span [{low}, {high}] on real frames, which is "
                        "not finite; a network that overflows cannot be quantised to int8"
                    )
                part = part if unit == 1 else part / np.float32(unit)
                histograms[conv.key].add(part, low=low, high=high)
                before = reaches.get(conv.key, reach)
                reaches[conv.key] = np.minimum(before[0], reach[0]), np.maximum(before[1], reach[1])

    def state(self) -> bytes:
        """Serialise the statistics so far, for `restore`."""
        both = self._histograms()
        arrays: dict[str, Any] = {
            "counts": np.stack([histogram.counts for histogram in both]),
            "exponents": np.array([histogram.exponent for histogram in both]),
            "ends": np.array([(histogram.low, histogram.high) for histogram in both]),
        }
        for what, reaches in (("read", self.read), ("gave", self.gave)):
            arrays |= {f"{what} {key}": np.stack(reach) for key, reach in reaches.items()}
        file = io.BytesIO()
        np.savez_compressed(file, **arrays)
        return file.getvalue()

    def restore(self, state: bytes) -> None:
        """Load statistics that `state` returned for the same graph."""
        with np.load(io.BytesIO(state), allow_pickle=False) as data:
            for histogram, counts, exponent, (low, high) in zip(
                self._histograms(), data["counts"], data["exponents"], data["ends"], strict=True
            ):
                histogram.counts[:] = counts
                histogram.exponent, histogram.low, histogram.high = (
                    int(exponent),
                    float(low),
                    float(high),
                )
            for what, reaches in (("read", self.read), ("gave", self.gave)):
                for key in self.inputs:
                    low, high = data[f"{what} {key}"]
                    reaches[key] = (low, high)

    def _histograms(self) -> list[Histogram]:
        return [*self.inputs.values(), *self.outputs.values()]


def _add_statistics(
    model: onnx.ModelProto, tensors: Mapping[str, str], grid: int
) -> onnx.ModelProto:
    """Copy a graph so that it outputs the statistics of each tensor, and else only its state."""
    from onnx import TensorProto, helper, numpy_helper

    result = type(model)()
    result.CopyFrom(model)
    graph = result.graph
    for name, value in (("seen_zero", [0, 0]), ("seen_end", [2**31, 2**31])):
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), name))
    of_pictures = ("seen_axes", [2, 3]), ("seen_others", [0, 2, 3]), ("seen_steps", [grid, grid])
    for name, value in of_pictures:
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), name))
    opset = next(entry.version for entry in result.opset_import if entry.domain in ("", "ai.onnx"))
    # Statistics follow the node that computes the tensor, so that the tensor can be freed early.
    ordered = _looks([value.name for value in graph.input], tensors, opset)  # a state may be read
    for node in graph.node:
        ordered += [node, *_looks(node.output, tensors, opset)]
    following = keep_outputs_of_state(model)
    del graph.node[:]
    graph.node.extend(ordered)
    del graph.output[:]
    graph.output.extend(
        helper.make_tensor_value_info(f"{seen}_{what}", TensorProto.FLOAT, None)
        for seen in tensors.values()
        for what in ("low", "high", "part")
    )
    graph.output.extend(following)
    return result


def _looks(names: Iterable[str], tensors: Mapping[str, str], opset: int) -> list[onnx.NodeProto]:
    """Nodes that compute the statistics of these tensors."""
    from onnx import helper

    looks = []
    for tensor in names:
        if seen := tensors.get(tensor):
            for op, what in (("ReduceMin", "low"), ("ReduceMax", "high")):
                look = helper.make_node(op, [tensor], [f"{seen}_{what}"], keepdims=0)
                if opset >= 18:  # before that, axes were an attribute
                    look.input.append("seen_others")
                else:
                    look.attribute.append(helper.make_attribute("axes", [0, 2, 3]))
                looks.append(look)
            cut = ["seen_zero", "seen_end", "seen_axes", "seen_steps"]
            looks.append(helper.make_node("Slice", [tensor, *cut], [f"{seen}_part"]))
    return looks
