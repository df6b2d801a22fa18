"""Write a chain of convolutions as an int8 graph whose values are bytes from end to end.

    lr ─ stack ─ [DQ ─ Conv ─ Relu ─ Q] ... ─ Pad 0 ─────┐
                                                         Concat ─ [DQ ─ Conv ─ Q] ─ shuffle ─ sr
    centre frame ───────────────────────────── Pad edge ─┘

ONNX Runtime makes one QLinearConv of each bracket, in the layout NHWC, in which the graph gives and
takes its other values; so the transposes before and after the chain cancel. Written as Q/DQ pairs
it stays a graph of standard operators, which gives the same numbers without integer kernels.

Integer kernels are up to twice as fast where input channels are a multiple of 4: zeros fill up
both concatenations. The stack and the shuffle are a Split and a Concat each instead of a transpose:
they move runs of bytes, and take half as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vsrc.calibration.calibration_file import Range
from vsrc.calibration.convolutions import Convolution
from vsrc.calibration.rounding import Rounding, round_keeping_sums
from vsrc.export.graphs.bilinear_skip import COLOURS
from vsrc.export.graphs.byte_chain import ByteChain
from vsrc.export.graphs.byte_tail import ByteTail, quantise_tail
from vsrc.export.graphs.graph_index import GraphIndex
from vsrc.export.graphs.quantise_cpu import quantise_bias, quantise_cpu_weight
from vsrc.export.node_writer import NodeWriter

if TYPE_CHECKING:
    import onnx

_ALIGNED = 4
"""Input channels of the fast kernels are a multiple of this."""
_IMAGE_STEP = np.float32(1 / 255)


def write_byte_graph(
    model: onnx.ModelProto,
    chain: ByteChain,
    ranges: Mapping[str, Range],
    roundings: Mapping[str, Rounding],
) -> bool:
    """Replace the nodes of a folded fp32 graph by int8 convolutions on bytes.

    Args:
        model: Graph of the chain; unchanged if False is returned.
        chain: Its convolutions.
        ranges: Convolution -> range of its input.
        roundings: Convolution -> function that rounds its weights, instead of the usual one.

    Returns:
        False if a range is missing, or the last convolution cannot be written this way.
    """
    reaches = [ranges.get(conv.key, (0.0, 0.0))[1] for conv in chain.convolutions[1:]]
    index = GraphIndex(model)
    weight = index.constant(chain.convolutions[-1].weight)
    if weight is None or min(reaches) <= 0:
        return False
    rounding = roundings.get(chain.convolutions[-1].key, round_keeping_sums)
    tail = quantise_tail(weight, reach=reaches[-1], scale=chain.scale, rounding=rounding)
    if tail is None:
        return False
    writer = _ChainWriter(model, index, chain, roundings)
    scales = [float(_IMAGE_STEP), *(reach / 255 for reach in reaches[:-1]), tail.feature_scale]
    frames = writer.write_frames()
    value = writer.write_stack(frames)
    for conv, read, given in zip(chain.convolutions, scales, scales[1:], strict=False):
        value = writer.write_convolution(conv, value, read, given)
    pixels = writer.write_tail(value, frames[chain.centre], tail)
    writer.write_images(pixels)
    writer.replace()
    return True


class _ChainWriter:
    """Writes the nodes of a chain, in order."""

    def __init__(
        self,
        model: onnx.ModelProto,
        index: GraphIndex,
        chain: ByteChain,
        roundings: Mapping[str, Rounding],
    ) -> None:
        self._model, self._index, self._chain = model, index, chain
        self._roundings = roundings
        self._writer = NodeWriter("bytes")
        self._lr = model.graph.input[0].name
        self._zero = self._writer.constant(np.uint8(0))
        self._inputs = {node.name: list(node.input) for node in model.graph.node}

    def write_frames(self) -> list[str]:
        """Write each frame as `(N, H, W, 3)`."""
        writer, window = self._writer, self._chain.window
        ones = writer.integers(*[1] * window)
        frames = writer.nodes_of("Split", [self._lr, ones], window, axis=1)
        axes = writer.integers(1)
        return [writer.node("Squeeze", [frame, axes]) for frame in frames]

    def write_stack(self, frames: list[str]) -> str:
        """Write all frames as `(N, C, H, W)`, C a multiple of 4."""
        stack = self._concat_aligned(frames, channels=COLOURS * len(frames))
        return self._writer.node("Transpose", [stack], perm=[0, 3, 1, 2])

    def write_convolution(self, conv: Convolution, value: str, read: float, given: float) -> str:
        """Write a convolution with Relu; `read` and `given` are the scales of input and output."""
        weight = self._array(conv.weight)
        missing = -weight.shape[1] % _ALIGNED if conv is self._chain.convolutions[0] else 0
        padded = np.pad(weight, ((0, 0), (0, missing), (0, 0), (0, 0)))
        rounding = self._roundings.get(conv.key, round_keeping_sums)
        whole, steps = quantise_cpu_weight(padded, rounding=rounding)
        pads = [side // 2 for side in weight.shape[2:]] * 2
        product = self._write_product(conv, value, whole, steps, scale=read, pads=pads)
        rectified = self._writer.node("Relu", [product])
        return self._quantise(rectified, given)

    def write_tail(self, features: str, centre: str, tail: ByteTail) -> str:
        """Write the last convolution; its bytes are the image's, `(N, 3 s^2, H, W)`.

        Args:
            features: `(N, C, H, W)`.
            centre: Frame that is upscaled bilinearly, `(N, H, W, 3)`.
            tail: Weights.
        """
        writer = self._writer
        rows, columns = (side // 2 for side in tail.features.shape[2:])
        # Bilinear upscaling repeats pixels at the border; the network pads features with zeros.
        around = writer.integers(*[0, rows, columns, 0] * 2)
        frame = writer.node("Pad", [centre, around], mode="edge")
        features = writer.node("Transpose", [features], perm=[0, 2, 3, 1])
        padded = writer.node("Pad", [features, around])
        channels = tail.features.shape[1] + COLOURS
        together = self._concat_aligned([padded, frame], channels=channels)
        together = writer.node("Transpose", [together], perm=[0, 3, 1, 2])
        weight = np.concatenate([tail.features, tail.frame], axis=1)
        weight = np.pad(weight, ((0, 0), (0, -channels % _ALIGNED), (0, 0), (0, 0)))
        conv, steps = self._chain.convolutions[-1], tail.steps.astype(np.float32)
        product = self._write_product(
            conv, together, weight, steps, scale=float(_IMAGE_STEP), pads=[0] * 4
        )
        return self._quantise(product, float(_IMAGE_STEP))

    def write_images(self, pixels: str) -> None:
        """Shuffle pixels, and write the output of the graph."""
        writer, scale = self._writer, self._chain.scale
        pixels = writer.node("Transpose", [pixels], perm=[0, 2, 3, 1])
        widths = writer.integers(*[scale * COLOURS] * scale)
        parts = writer.nodes_of("Split", [pixels, widths], scale, axis=3)
        row = writer.integers(0, 0, 1, -1)
        rows = writer.node("Concat", [writer.node("Reshape", [x, row]) for x in parts], axis=2)
        shape = writer.image_shape(self._lr, scale=scale)
        writer.node("Reshape", [rows, shape])
        writer.nodes[-1].output[0] = self._model.graph.output[0].name

    def replace(self) -> None:
        """Replace nodes and constants of the graph by those written."""
        graph = self._model.graph
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self._writer.nodes)
        graph.initializer.extend(self._writer.constants)

    def _concat_aligned(self, parts: list[str], *, channels: int) -> str:
        """Concatenate channels of values `(N, H, W, C)`, and zeros up to a multiple of 4."""
        writer = self._writer
        if missing := -channels % _ALIGNED:
            sides = writer.node("Shape", [parts[0]], start=0, end=3)
            shape = writer.node("Concat", [sides, writer.integers(missing)], axis=0)
            parts = [*parts, writer.node("Expand", [self._zero, shape])]
        return writer.node("Concat", parts, axis=3)

    def _write_product(
        self,
        conv: Convolution,
        value: str,
        weight: NDArray[np.int8],
        steps: NDArray[Any],
        *,
        scale: float,
        pads: list[int],
    ) -> str:
        """Write a convolution of a uint8 value of a given scale; returns its float output."""
        writer = self._writer
        bias, units = quantise_bias(self._array(self._inputs[conv.node][2]), scale * steps)
        scales = [writer.constant(np.float32(scale)), self._zero]
        inputs = [
            writer.node("DequantizeLinear", [value, *scales]),
            self._constant(weight, steps),
            self._constant(bias, units),
        ]
        shape = list(weight.shape[2:])
        return writer.node("Conv", inputs, name=conv.node, kernel_shape=shape, pads=pads)

    def _quantise(self, value: str, scale: float) -> str:
        scales = [self._writer.constant(np.float32(scale)), self._zero]
        return self._writer.node("QuantizeLinear", [value, *scales])

    def _constant(
        self, value: NDArray[np.int8] | NDArray[np.int32], steps: NDArray[np.floating]
    ) -> str:
        """Write a DequantizeLinear of a constant, one scale per element of its first axis."""
        writer, zero = self._writer, np.zeros(steps.shape, value.dtype)
        inputs = [writer.constant(each) for each in (value, steps.astype(np.float32), zero)]
        return writer.node("DequantizeLinear", inputs, axis=0)

    def _array(self, name: str) -> NDArray[np.float32]:
        array = self._index.constant(name)
        assert array is not None, f"{name} is a constant of the chain"
        return array
