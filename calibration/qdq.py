"""Insert Q/DQ pairs that make the convolutions of a graph int8.

    x ── Q ── DQ ──┐                Q   QuantizeLinear: float to int8
                   Conv ── y        DQ  DequantizeLinear: int8 to float
    int8 w ── DQ ──┘

A backend with int8 kernels fuses the three nodes into one integer convolution; any other runs them
one by one, with the same result. Activations: symmetric, per tensor, zero point 0. Weights:
symmetric, per output channel. The bias and the result stay float. NVIDIA's parsers require this:
they reject a non-zero zero point and a quantised bias.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vsrc.calibration.calibration_file import Range
from vsrc.calibration.convolutions import Convolution, convolutions
from vsrc.calibration.rounding import Rounding, round_keeping_sums

if TYPE_CHECKING:
    import onnx

LEVELS = 127
"""Number of steps from 0 to the largest int8 value."""
INT8_OPSET = 13
"""First opset with one scale for each channel."""
HALF_OPSET = 19
"""First opset whose QuantizeLinear takes half precision."""

FloatWeights = NDArray[np.float16] | NDArray[np.float32]


def insert_qdq(
    model: onnx.ModelProto,
    ranges: Mapping[str, Range],
    *,
    only: Collection[str] | None = None,
    rounding: Rounding = round_keeping_sums,
    roundings: Mapping[str, Rounding] | None = None,
) -> int:
    """Make convolutions int8, in place.

    Args:
        model: A float graph, fp32 or fp16; in an fp16 graph the scales are fp16, and the opset is
            raised to the first that supports them.
        ranges: Convolution -> range of its input. A convolution without a range, or with an empty
            one, stays float.
        only: Convolutions to make int8; None for all.
        rounding: Function that rounds the weights of a `Conv`; those of a `ConvTranspose`, of
            whose kernel each output pixel reads a part, are rounded to the nearest.
        roundings: Convolution -> function that rounds its weights instead.

    Returns:
        Number of convolutions made int8.
    """
    writer = _Writer(model, rounding, roundings or {})
    changed = 0
    for convolution in convolutions(model.graph):
        chosen = only is None or convolution.key in only
        if chosen and writer.quantise(convolution, ranges.get(convolution.key, (0.0, 0.0))):
            changed += 1
    writer.finish()
    return changed


def activation_scale(value_range: Range) -> float:
    """Scale of symmetric int8 that covers both ends of a range."""
    return max(abs(value_range[0]), abs(value_range[1])) / LEVELS


def quantise_weight(
    weight: FloatWeights,
    *,
    axis: int,
    levels: int | NDArray[np.int64] = LEVELS,
    rounding: Rounding = np.rint,
) -> tuple[NDArray[np.int8], FloatWeights]:
    """Quantise a weight to int8; the scale of each output channel has the weight's dtype.

    Args:
        weight: Weight of a convolution.
        axis: Axis of the output channels.
        levels: Number of steps from 0 to the largest value; one for each channel, or for all.
        rounding: Function that rounds multiples of the scale.
    """
    exact = weight.astype(np.float64)
    others = tuple(index for index in range(weight.ndim) if index != axis)
    steps = np.abs(exact).max(axis=others) / levels
    # A scale that underflows the dtype becomes its smallest normal number: the channel is (nearly)
    # zero, and so are its int8 values.
    scale = np.maximum(steps, np.finfo(weight.dtype).tiny).astype(weight.dtype)
    shape = [-1 if index == axis else 1 for index in range(weight.ndim)]
    stepped = rounding(exact / scale.astype(np.float64).reshape(shape))
    most = np.broadcast_to(levels, scale.shape).reshape(shape)
    return np.clip(stepped, -most, most).astype(np.int8), scale


class _Writer:
    """A graph whose convolutions are being rewritten."""

    def __init__(
        self, model: onnx.ModelProto, rounding: Rounding, roundings: Mapping[str, Rounding]
    ) -> None:
        self._model, self._rounding, self._roundings = model, rounding, roundings
        self._nodes = {node.name: node for node in model.graph.node}
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._pairs: dict[tuple[str, float], str] = {}
        self._weights: dict[str, str] = {}
        self._before: dict[str, list[onnx.NodeProto]] = {}
        self._has_half = False

    def quantise(self, convolution: Convolution, value_range: Range) -> bool:
        """Make one convolution int8, unless its scale would underflow to 0."""
        from onnx import numpy_helper

        weight = numpy_helper.to_array(self._tensors[convolution.weight])
        if weight.dtype not in (np.float16, np.float32):
            return False
        step = np.asarray(activation_scale(value_range) * convolution.unit, dtype=weight.dtype)
        if not np.finfo(weight.dtype).tiny <= step < np.inf:
            return False
        self._has_half |= weight.dtype == np.float16
        node = self._nodes[convolution.node]
        node.input[0] = self._activation(convolution, step)
        node.input[1] = self._weight(convolution, weight)
        return True

    def finish(self) -> None:
        """Insert the new nodes before those that read them, and remove unused weights."""
        graph = self._model.graph
        ordered = [item for node in graph.node for item in (*self._before.get(node.name, ()), node)]
        del graph.node[:]
        graph.node.extend(ordered)
        read = {name for node in graph.node for name in node.input}
        for name in self._weights:
            if name not in read:
                graph.initializer.remove(self._tensors[name])
        default = next(
            entry for entry in self._model.opset_import if entry.domain in ("", "ai.onnx")
        )
        if self._has_half and default.version < HALF_OPSET:
            default.version = HALF_OPSET

    def _activation(self, convolution: Convolution, step: FloatWeights) -> str:
        """Name of the tensor after its Q/DQ pair, shared by convolutions with the same scale."""
        place = (convolution.input, float(step))
        if place not in self._pairs:
            count = sum(name == convolution.input for name, _ in self._pairs)
            stem = f"{convolution.input}_int8" + (f"_{count}" if count else "")
            scale, zero = self._constant(f"{stem}_scale", step), self._zero(stem, ())
            self._add(convolution, "QuantizeLinear", [convolution.input, scale, zero], stem)
            self._add(convolution, "DequantizeLinear", [stem, scale, zero], f"{stem}_float")
            self._pairs[place] = f"{stem}_float"
        return self._pairs[place]

    def _weight(self, convolution: Convolution, weight: FloatWeights) -> str:
        """Name of the weight after its DQ."""
        name = convolution.weight
        if name not in self._weights:
            axis = convolution.channel_axis
            usual = self._rounding if convolution.op == "Conv" else np.rint
            rounding = self._roundings.get(convolution.key, usual)
            small, scales = quantise_weight(weight, axis=axis, rounding=rounding)
            inputs = [
                self._constant(f"{name}_int8", small),
                self._constant(f"{name}_scale", scales),
                self._zero(name, scales.shape),
            ]
            self._add(convolution, "DequantizeLinear", inputs, f"{name}_float", axis=axis)
            self._weights[name] = f"{name}_float"
        return self._weights[name]

    def _zero(self, stem: str, shape: tuple[int, ...]) -> str:
        return self._constant(f"{stem}_zero", np.zeros(shape, dtype=np.int8))

    def _constant(self, name: str, value: FloatWeights | NDArray[np.int8]) -> str:
        from onnx import numpy_helper

        self._model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _add(
        self,
        convolution: Convolution,
        op: str,
        inputs: list[str],
        output: str,
        *,
        axis: int | None = None,
    ) -> None:
        from onnx import helper

        node = helper.make_node(op, inputs, [output], name=f"{op}_{output}")
        if axis is not None:
            node.attribute.append(helper.make_attribute("axis", axis))
        self._before.setdefault(convolution.node, []).append(node)
