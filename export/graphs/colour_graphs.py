"""Graphs that convert frames of a GPU's decoder to RGB, and RGB to frames for its encoder.

    y, uv --> nv12-to-rgb-left --> rgb --> network --> sr --> rgb-to-nv12-left --> y, uv

They do what swscale does on the CPU with the flags of `vsrc.runtime.picture.colour.ACCURATE`:
chroma is resampled by a bicubic filter with its location respected, then the matrix is applied.
NV12 and P010 hold U and V interleaved; P010 is fed as bytes, as TensorRT has no uint16, with its
10 bits at the upper end of two bytes.

    input or output     NV12                 P010
    y                   (H, W)               (H, W, 2)          uint8
    uv                  (H / 2, W / 2, 2)    (H / 2, W / 2, 2, 2)
    rgb                 (H, W, 3)            (H, W, 3)          uint8
    matrix, offset      (3, 3), (3,)         float32: `colour_matrix.Affine`, with 255 as white

Matrix and range are inputs, so one engine fits every video. Everything between the first and the
last Cast is float32; the filters are convolutions, which `build_engine` never lets TensorRT compute
with the 10 bits of TF32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vsrc.export.node_writer import NodeWriter

if TYPE_CHECKING:
    import onnx

OPSET = 18
_SHARPNESS = 0.6
"""Parameter C of the cubic filter of swscale; B is 0 (Mitchell and Netravali, 1988, equation 8)."""
_BYTES = {"nv12": 1, "p010": 2}
"""Pixel format -> bytes per sample."""
_STEP = {1: 1, 2: 4}
"""Bytes per sample -> code values per step of 8 bits."""
GRAPHS = tuple(
    way
    for layout in _BYTES
    for way in (f"{layout}-to-rgb-left", f"{layout}-to-rgb-centre", f"rgb-to-{layout}-left")
)
"""Names of the graphs; the last word is where chroma lies along a row."""

_ROW, _COLUMN = 2, 3
"""Axes of `(1, C, H, W)`."""
_CHROMA = 2
"""Planes that are resampled: U and V."""


def cubic_weight(distance: float) -> float:
    """Weight of a sample of swscale's bicubic filter; `distance` is in samples."""
    at, c = abs(distance), _SHARPNESS
    if at < 1:
        return ((12 - 6 * c) * at**3 + (-18 + 6 * c) * at**2 + 6) / 6
    if at < 2:
        return (-6 * c * at**3 + 30 * c * at**2 - 48 * c * at + 24 * c) / 6
    return 0.0


def colour_graph(name: str) -> onnx.ModelProto:
    """Write one of `GRAPHS`, for frames of any even size from 16 x 16 on.

    Raises:
        KeyError: There is no graph of this name.
    """
    source, _, target, location = name.split("-")
    is_left = {"left": True, "centre": False}[location]
    if target == "rgb":
        return _to_rgb(name, _BYTES[source], is_left=is_left)
    return _from_rgb(name, _BYTES[target], is_left=is_left)


def _to_rgb(name: str, size: int, *, is_left: bool) -> onnx.ModelProto:
    writer = NodeWriter(name)
    luma = _planes(writer, _as_float(writer, "y", size), 1)
    chroma = _planes(writer, _as_float(writer, "uv", size), 2)
    wide = _double(writer, chroma, _COLUMN, _ON_EVEN if is_left else _BETWEEN)
    full = _double(writer, _clip(writer, wide, size), _ROW, _BETWEEN)
    u, v = writer.nodes_of("Split", [full], 2, axis=1, num_outputs=2)
    rgb = _map(writer, (luma, u, v))
    last = writer.node("Transpose", [writer.node("Concat", rgb, axis=1)], perm=[0, 2, 3, 1])
    levels = _levels(writer, writer.node("Squeeze", [last, writer.integers(0)]), 255)
    _as_bytes(writer, levels, "rgb")
    ends = {"y": _sides(size), "uv": _sides(size, "h", "w", 2)}
    return _model(writer, name, ends, {"rgb": ("H", "W", 3)})


def _from_rgb(name: str, size: int, *, is_left: bool) -> onnx.ModelProto:
    writer = NodeWriter(name)
    rgb = _planes(writer, writer.node("Cast", ["rgb"], to=1), 3)
    colours = writer.nodes_of("Split", [rgb], 3, axis=1, num_outputs=3)
    y, u, v = _map(writer, tuple(colours))
    chroma = writer.node("Concat", [u, v], axis=1)
    narrow = _halve(writer, chroma, _COLUMN, is_on_even=is_left)
    small = _halve(writer, _clip(writer, narrow, size), _ROW, is_on_even=False)
    largest = 255 if size == 1 else 1023
    for plane, output, axis in ((y, "y", 1), (small, "uv", 0)):
        last = writer.node("Transpose", [plane], perm=[0, 2, 3, 1])
        axes = writer.integers(0, 3) if axis else writer.integers(0)
        levels = _levels(writer, writer.node("Squeeze", [last, axes]), largest)
        _as_bytes(writer, levels if size == 1 else _in_two_bytes(writer, levels), output)
    ends = {"y": _sides(size), "uv": _sides(size, "h", "w", 2)}
    return _model(writer, name, {"rgb": ("H", "W", 3)}, ends)


_BETWEEN = ((1.75, 0.75, 0.25, 1.25), (1.25, 0.25, 0.75, 1.75))
"""Distances of four samples from the two that replace the second and third: a quarter to each side
of a sample, which lies between the two."""
_ON_EVEN = ((2.0, 1.0, 0.0, 1.0), (1.5, 0.5, 0.5, 1.5))
"""The same where the first of the two has the place of the sample."""


def _double(
    writer: NodeWriter, planes: str, axis: int, distances: Sequence[Sequence[float]]
) -> str:
    """Double one axis of `(1, C, h, w)`."""
    # Sample n of the source is n + 2 of what is extended; the pair around it reads n .. n + 4.
    wide = _extend(writer, planes, axis, 2, 2)
    first = _weigh(writer, wide, axis, distances[0], start=0, beyond=4, step=1)
    if distances is _BETWEEN:
        first = _with_second(writer, planes, first, axis)
    second = _weigh(writer, wide, axis, distances[1], start=1, beyond=4, step=1)
    behind = writer.integers(axis + 1)
    pair = [writer.node("Unsqueeze", [half, behind]) for half in (first, second)]
    return writer.node(
        "Reshape", [writer.node("Concat", pair, axis=axis + 1), _twice(writer, planes, axis)]
    )


def _with_second(writer: NodeWriter, planes: str, first: str, axis: int) -> str:
    """Replace the second result by swscale's, which leaves out the sample before the edge there."""
    weights = np.array([cubic_weight(distance) for distance in _BETWEEN[0][1:]])
    total = ""
    for at, weight in enumerate(weights / weights.sum()):
        factor = writer.constant(np.float32(weight))
        term = writer.node("Mul", [_slice(writer, planes, axis, (at, at + 1), 1), factor])
        total = writer.node("Add", [total, term]) if total else term
    end = np.iinfo(np.int64).max
    around = [_slice(writer, first, axis, limits, 1) for limits in ((0, 1), (2, end))]
    return writer.node("Concat", [around[0], total, around[1]], axis=axis)


def _twice(writer: NodeWriter, planes: str, axis: int) -> str:
    """Shape of a value with one axis doubled."""
    factors = [2 if at == axis else 1 for at in range(4)]
    return writer.node("Mul", [writer.node("Shape", [planes]), writer.integers(*factors)])


def _halve(writer: NodeWriter, planes: str, axis: int, *, is_on_even: bool) -> str:
    """Halve one axis of `(1, C, H, W)` by the filter stretched to twice its width."""
    # Taps from 3 samples before a pair's first to 4 behind it; the centre lies on the first sample
    # or between the two.
    centre = 3.0 if is_on_even else 3.5
    distances = [(tap - centre) / 2 for tap in range(8)]
    wide = _extend(writer, planes, axis, 3, 4)
    return _weigh(writer, wide, axis, distances, start=0, beyond=7, step=2)


def _weigh(
    writer: NodeWriter,
    wide: str,
    axis: int,
    distances: Sequence[float],
    *,
    start: int,
    beyond: int,
    step: int,
) -> str:
    """Weighted sum of neighbours along an axis.

    Args:
        writer: Writer of the graph.
        wide: Value that is extended by `beyond` samples in all.
        axis: Axis of the neighbours.
        distances: Distance of each of them from the result, in widths of the filter.
        start: Place of the first of them.
        beyond: Samples by which the value is longer than what it was extended from.
        step: Samples from one result to the next.
    """
    weights = np.array([cubic_weight(distance) for distance in distances])
    kernel = np.zeros(beyond + 1, np.float32)
    kernel[start : start + len(weights)] = weights / weights.sum()
    shape, strides = [_CHROMA, 1, 1, 1], [1, 1]
    shape[axis], strides[axis - _ROW] = len(kernel), step
    factors = writer.constant(np.tile(kernel, (_CHROMA, 1)).reshape(shape))
    return writer.node("Conv", [wide, factors], group=_CHROMA, strides=strides)


def _extend(writer: NodeWriter, planes: str, axis: int, before: int, behind: int) -> str:
    """Repeat the first and the last sample along an axis, as swscale does at the edges."""
    pads = [0] * 8
    pads[axis], pads[4 + axis] = before, behind
    return writer.node("Pad", [planes, writer.integers(*pads)], mode="edge")


def _slice(writer: NodeWriter, value: str, axis: int, limits: tuple[int, int], step: int) -> str:
    names = [writer.integers(number) for number in (limits[0], limits[1], axis, step)]
    return writer.node("Slice", [value, *names])


def _clip(writer: NodeWriter, value: str, size: int) -> str:
    """Clip as swscale, which keeps what is resampled along rows in 15 bits."""
    largest = np.float32((1 << 15) - 1) / 128 * _STEP[size]
    return writer.node("Min", [value, writer.constant(np.float32(largest))])


def _map(writer: NodeWriter, samples: tuple[str, ...]) -> list[str]:
    """Apply the inputs `matrix` and `offset` to three planes."""
    results = []
    for row in range(3):
        factors = _slice(writer, "matrix", 0, (row, row + 1), 1)
        total = _slice(writer, "offset", 0, (row, row + 1), 1)
        for column, plane in enumerate(samples):
            factor = _slice(writer, factors, 1, (column, column + 1), 1)
            total = writer.node("Add", [total, writer.node("Mul", [plane, factor])])
        results.append(total)
    return results


def _planes(writer: NodeWriter, value: str, channels: int) -> str:
    """Convert `(h, w)` or `(h, w, C)` to `(1, C, h, w)`."""
    if channels == 1:
        return writer.node("Unsqueeze", [value, writer.integers(0, 1)])
    batched = writer.node("Unsqueeze", [value, writer.integers(0)])
    return writer.node("Transpose", [batched], perm=[0, 3, 1, 2])


def _as_float(writer: NodeWriter, name: str, size: int) -> str:
    """Convert bytes to code values, whose last axis are the bytes where there are two."""
    value = writer.node("Cast", [name], to=1)
    if size == 1:
        return value
    low, high = writer.nodes_of("Split", [value], 2, axis=-1, num_outputs=2)
    scaled = [
        writer.node("Mul", [part, writer.constant(np.float32(factor))])
        for part, factor in ((low, 1 / 64), (high, 4))
    ]
    return writer.node("Squeeze", [writer.node("Add", scaled), writer.integers(-1)])


def _in_two_bytes(writer: NodeWriter, levels: str) -> str:
    """Split 10-bit code values into the lower and the upper byte of P010."""
    quarter = writer.node("Mul", [levels, writer.constant(np.float32(0.25))])
    high = writer.node("Floor", [quarter])
    rest = writer.node("Sub", [quarter, high])
    low = writer.node("Mul", [rest, writer.constant(np.float32(256))])
    both = [writer.node("Unsqueeze", [part, writer.integers(-1)]) for part in (low, high)]
    return writer.node("Concat", both, axis=-1)


def _levels(writer: NodeWriter, value: str, largest: int) -> str:
    """Round and clip."""
    ends = [writer.constant(np.float32(end)) for end in (0, largest)]
    lower = writer.node("Max", [writer.node("Round", [value]), ends[0]])
    return writer.node("Min", [lower, ends[1]])


def _as_bytes(writer: NodeWriter, value: str, output: str) -> None:
    writer.node("Cast", [value], output=output, to=2)


def _sides(size: int, *axes: str | int) -> tuple[str | int, ...]:
    sides = axes or ("H", "W")
    return sides if size == 1 else (*sides, 2)


def _model(
    writer: NodeWriter,
    name: str,
    inputs: dict[str, tuple[str | int, ...]],
    outputs: dict[str, tuple[str | int, ...]],
) -> onnx.ModelProto:
    from onnx import TensorProto, helper

    def values(shapes: dict[str, tuple[str | int, ...]]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(name, TensorProto.UINT8, shape)
            for name, shape in shapes.items()
        ]

    numbers = [
        helper.make_tensor_value_info("matrix", TensorProto.FLOAT, (3, 3)),
        helper.make_tensor_value_info("offset", TensorProto.FLOAT, (3,)),
    ]
    graph = helper.make_graph(
        writer.nodes, name, [*values(inputs), *numbers], values(outputs), writer.constants
    )
    opset = helper.make_opsetid("", OPSET)
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    return model
