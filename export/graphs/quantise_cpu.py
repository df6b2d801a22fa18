"""Int8 convolutions for ONNX Runtime on the CPU.

    x ── Q ── DQ ──┐
    int8 w ── DQ ──┼── Conv ── [Relu] ── Q ── DQ ── y        one QLinearConv once loaded
    int32 b ─ DQ ──┘

ONNX Runtime has fast kernels for uint8 activations and int8 weights, where input and output of a
convolution are quantised. Without AVX-512 VNNI they add two products of 16 bits with saturation, so
no two weights of an output channel may add up to more than 128 (`quantise_cpu_weight`). Only
convolutions become integer: the operators between them are bound by memory, not arithmetic, and are
exact in float.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vsrc.calibration.calibration_file import Range
from vsrc.calibration.convolutions import Convolution, convolutions
from vsrc.calibration.qdq import LEVELS, quantise_weight
from vsrc.calibration.rounding import Rounding, round_keeping_sums
from vsrc.export.graphs.graph_index import drop_unread_constants

if TYPE_CHECKING:
    import onnx

WEIGHT_LEVELS = 64
"""Number of steps from 0 to the largest weight at which any two may be added: two products of 64
and 255 fit into 16 bits."""
_PAIR = 2 * WEIGHT_LEVELS
"""Largest sum of two weights of one sign."""
_NO_RANGE: Range = (0.0, 0.0)


def insert_cpu_qdq(
    model: onnx.ModelProto,
    ranges: Mapping[str, Range],
    outputs: Mapping[str, Range],
    *,
    only: Collection[str],
    roundings: Mapping[str, Rounding] | None = None,
) -> int:
    """Quantise convolutions to int8 in place.

    Args:
        model: An fp32 graph.
        ranges: Convolution -> range of its input.
        outputs: Convolution -> range of its output, before any activation. A convolution without an
            output range stays float: it would run in float with coarser weights.
        only: Convolutions to quantise.
        roundings: Convolution -> function that rounds its weights, instead of the usual one.

    Returns:
        Number of quantised convolutions.
    """
    writer = _Writer(model, roundings or {})
    chosen = {
        conv.node: conv
        for conv in convolutions(model.graph)
        if conv.key in only and conv.op == "Conv" and _has_width(ranges.get(conv.key, _NO_RANGE))
    }
    ends = {node: writer.end(conv) for node, conv in chosen.items()}
    known: dict[str, Range] = {}
    for node, conv in chosen.items():
        tensor, rectified = ends[node]
        if _has_width(value_range := outputs.get(conv.key, _NO_RANGE)):
            low, high = value_range
            known[tensor] = (max(low, 0.0), max(high, 0.0)) if rectified else value_range
    # For a tensor that another convolution reads, the calibrated input range applies.
    known |= {conv.input: _read_range(ranges[conv.key], conv.unit) for conv in chosen.values()}
    done = [
        conv for node, conv in chosen.items() if _has_width(known.get(ends[node][0], _NO_RANGE))
    ]
    for conv in done:
        writer.quantise(conv, known[conv.input])
    for conv in done:
        end = ends[conv.node][0]
        writer.requantise(end, known[end])
    writer.finish()
    return len(done)


def _read_range(value_range: Range, unit: float) -> Range:
    """Range of the tensor in the graph (`Convolution.unit`)."""
    return value_range[0] * unit, value_range[1] * unit


def _has_width(value_range: Range) -> bool:
    return value_range[1] > value_range[0] or value_range[1] != 0


def uint8_step(value_range: Range) -> tuple[np.float32, np.uint8]:
    """Scale and zero point of uint8 that cover a range and represent 0 exactly."""
    low, high = min(value_range[0], 0.0), max(value_range[1], 0.0)
    scale = np.float32(max((high - low) / 255, float(np.finfo(np.float32).tiny)))
    return scale, np.uint8(np.clip(np.rint(-low / scale), 0, 255))


def quantise_cpu_weight(
    weight: NDArray[np.float32], *, rounding: Rounding = round_keeping_sums
) -> tuple[NDArray[np.int8], NDArray[np.floating]]:
    """Quantise the weight of a convolution, `(O, I, ...)`, with a scale for each O.

    Kernels add the products of two weights, whichever two, in 16 bits. What may not overflow is
    thus the sum of the two largest of one sign: a channel with one weight far beyond the others, as
    those that pass a picture on have, takes up to 127 steps, and one with equals 64.
    """
    levels = _whole_levels(weight.astype(np.float64))
    while True:
        whole, steps = quantise_weight(weight, axis=0, levels=levels, rounding=rounding)
        beyond = _largest_pair(whole.astype(np.int64)) > _PAIR  # by rounding up
        if not beyond.any():
            return whole, steps
        levels = (levels - beyond).astype(np.int64)


def _whole_levels(weight: NDArray[np.float64]) -> NDArray[np.int64]:
    """Number of steps to the largest weight of each output channel, 64 to 127, `(O,)`."""
    pair = np.maximum(_largest_pair(weight), 1e-30)
    largest = np.abs(weight).max(axis=tuple(range(1, weight.ndim)))
    levels: NDArray[np.int64] = np.clip(_PAIR * largest / pair, WEIGHT_LEVELS, LEVELS).astype(int)
    return levels


def _largest_pair(
    weight: NDArray[np.float64] | NDArray[np.int64],
) -> NDArray[np.float64]:
    """Largest magnitude of the sum of two weights of one sign in each output channel, `(O,)`."""
    rows = np.pad(weight.reshape(len(weight), -1), ((0, 0), (0, 2)))  # a row may have one weight
    ordered = np.sort(rows, axis=1)
    sums: NDArray[np.float64] = np.maximum(ordered[:, -2:].sum(axis=1), -ordered[:, :2].sum(axis=1))
    return sums


def quantise_bias(
    bias: NDArray[np.float32], steps: NDArray[np.floating]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Quantise a bias to int32.

    Args:
        bias: Bias, `(O,)`.
        steps: Product of the scale of the input and that of the weights, `(O,)`.

    Returns:
        Multiples of the scale, and the scale of each element.
    """
    units = steps.astype(np.float32)
    limit = np.iinfo(np.int32).max
    whole = np.clip(np.rint(bias.astype(np.float64) / units), -limit, limit)
    return whole.astype(np.int32), units


class _Writer:
    """A graph whose convolutions are being rewritten."""

    def __init__(self, model: onnx.ModelProto, roundings: Mapping[str, Rounding]) -> None:
        self._model, self._roundings = model, roundings
        self._nodes = {node.name: node for node in model.graph.node}
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._results = {value.name for value in model.graph.output}
        self._read: dict[str, str] = {}
        self._before: dict[str, list[onnx.NodeProto]] = {}
        self._after: dict[str, list[onnx.NodeProto]] = {}
        self._replaced: set[str] = set()

    def end(self, conv: Convolution) -> tuple[str, bool]:
        """Output tensor of its integer kernel, and whether a Relu is fused."""
        readers = self._readers.get(conv.output, [])
        if len(readers) == 1 and readers[0].op_type == "Relu" and conv.output not in self._results:
            return readers[0].output[0], True
        return conv.output, False

    def quantise(self, conv: Convolution, value_range: Range) -> None:
        """Quantise input, weight and bias of a convolution."""
        from onnx import numpy_helper

        node = self._nodes[conv.node]
        scale, _ = uint8_step(value_range)
        before = self._before.setdefault(conv.node, [])
        if conv.input not in self._read:
            pair = self._pair(conv.input, f"{conv.input}_uint8", value_range)
            before += pair
            self._read[conv.input] = pair[-1].output[0]
        node.input[0] = self._read[conv.input]
        weight = numpy_helper.to_array(self._tensors[conv.weight])
        rounding = self._roundings.get(conv.key, round_keeping_sums)
        small, steps = quantise_cpu_weight(weight, rounding=rounding)
        # Not shared: convolutions with the same weights may have inputs of different scale.
        before.append(self._constants(f"{conv.node}_weight", small, steps))
        self._replaced.add(conv.weight)
        node.input[1] = before[-1].output[0]
        if len(node.input) > 2 and node.input[2]:
            bias = numpy_helper.to_array(self._tensors[node.input[2]])
            self._replaced.add(node.input[2])
            whole, units = quantise_bias(bias, scale * steps)
            before.append(self._constants(f"{conv.node}_bias", whole, units))
            node.input[2] = before[-1].output[0]

    def requantise(self, tensor: str, value_range: Range) -> None:
        """Insert a Q/DQ pair between a tensor and all its readers."""
        maker = next(node for node in self._model.graph.node if tensor in node.output)
        after = self._after.setdefault(maker.name, [])
        there = self._read.get(tensor)
        if there is None:
            pair = self._pair(tensor, f"{tensor}_uint8", value_range)
            there = pair[-1].output[0]
        else:  # made for one reader: now for all, so moved behind the producer
            pair = self._taken(f"{tensor}_uint8")
        after += pair
        for node in self._readers.get(tensor, []):
            for at, name in enumerate(node.input):
                if name == tensor:
                    node.input[at] = there
        if tensor in self._results:  # the graph outputs the pair's result, under the old name
            exact = f"{tensor}_exact"
            maker.output[list(maker.output).index(tensor)] = exact
            pair[0].input[0] = exact
            after.append(self._identity(there, tensor))

    def _taken(self, stem: str) -> list[onnx.NodeProto]:
        """Remove the Q/DQ pair of a name and return it."""
        pair = []
        for nodes in self._before.values():
            nodes_of_pair = [node for node in nodes if node.name in (f"Q_{stem}", f"DQ_{stem}")]
            for node in nodes_of_pair:
                nodes.remove(node)
            pair += nodes_of_pair
        return pair

    def finish(self) -> None:
        """Insert the new nodes in order, and drop constants that are no longer read."""
        graph = self._model.graph
        ordered: list[onnx.NodeProto] = []
        for node in graph.node:
            ordered += self._before.get(node.name, [])
            ordered.append(node)
            ordered += self._after.get(node.name, [])
        del graph.node[:]
        graph.node.extend(ordered)
        drop_unread_constants(graph, self._replaced)

    def _pair(self, tensor: str, stem: str, value_range: Range) -> list[onnx.NodeProto]:
        from onnx import helper

        scale, zero = uint8_step(value_range)
        names = [self._constant(f"{stem}_scale", scale), self._constant(f"{stem}_zero", zero)]
        return [
            helper.make_node("QuantizeLinear", [tensor, *names], [stem], name=f"Q_{stem}"),
            helper.make_node(
                "DequantizeLinear", [stem, *names], [f"{stem}_float"], name=f"DQ_{stem}"
            ),
        ]

    def _constants(
        self, stem: str, value: NDArray[np.int8] | NDArray[np.int32], steps: NDArray[np.floating]
    ) -> onnx.NodeProto:
        """Add a DequantizeLinear of a constant, one scale per element of its first axis."""
        from onnx import helper

        zero = np.zeros(steps.shape, dtype=value.dtype)
        inputs = [
            self._constant(f"{stem}_whole", value),
            self._constant(f"{stem}_scale", steps),
            self._constant(f"{stem}_zero", zero),
        ]
        return helper.make_node(
            "DequantizeLinear", inputs, [f"{stem}_float"], name=f"DQ_{stem}", axis=0
        )

    def _identity(self, source: str, target: str) -> onnx.NodeProto:
        from onnx import helper

        return helper.make_node("Identity", [source], [target], name=f"Identity_{target}")

    def _constant(self, name: str, value: object) -> str:
        from onnx import numpy_helper

        self._model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name
