"""Write transposed convolutions as convolutions at LR size, for which there are integer kernels.

    ConvTranspose, stride s        =        Conv, s * s times the channels ── DepthToSpace(s)

In one dimension, output s m + r of a transposed convolution with padding p is the sum over d of
x[m + d] w[r + p - s d]: for each phase r a convolution with every s-th weight (Shi et al. 2016,
arXiv:1609.07009). ONNX Runtime has no integer kernel for a ConvTranspose.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx


def replace_transposed(model: onnx.ModelProto) -> int:
    """Replace transposed convolutions whose output has s times the sides of the input, in place.

    Weight and bias keep their names, under which calibration knows them.

    Returns:
        Number of replaced nodes.
    """
    from onnx import helper, numpy_helper

    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    uses = Counter(name for node in graph.node for name in node.input)
    count = 0
    for place, node in enumerate(list(graph.node)):
        if node.op_type != "ConvTranspose" or any(uses[name] != 1 for name in node.input[1:]):
            continue
        if any(name and name not in tensors for name in node.input[1:]):
            continue
        weight = numpy_helper.to_array(tensors[node.input[1]])
        geometry = _geometry(node, weight)
        if geometry is None:
            continue
        stride, pads = geometry
        kernel, around = _phases(weight, stride, pads)
        tensors[node.input[1]].CopyFrom(numpy_helper.from_array(kernel, node.input[1]))
        for name in node.input[2:]:
            bias = numpy_helper.to_array(tensors[name]).repeat(stride**2)
            tensors[name].CopyFrom(numpy_helper.from_array(bias, name))
        small = f"{node.output[0]}_phases"
        conv = helper.make_node(
            "Conv", node.input, [small], name=node.name, kernel_shape=kernel.shape[2:], pads=around
        )
        shuffle = helper.make_node(
            *("DepthToSpace", [small], list(node.output)),
            name=f"{node.name}_shuffle",
            blocksize=stride,
            mode="CRD",
        )
        at = place + count
        graph.node.remove(graph.node[at])
        graph.node.insert(at, conv)
        graph.node.insert(at + 1, shuffle)
        count += 1
    return count


def _geometry(
    node: onnx.NodeProto, weight: NDArray[np.generic]
) -> tuple[int, tuple[int, int]] | None:
    """Stride and padding (top, left), if the output has the stride times the input's sides."""
    from onnx import helper

    given: dict[str, Any] = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    if weight.ndim != 4 or given.get("group", 1) != 1 or "output_shape" in given:
        return None
    if given.get("auto_pad", b"NOTSET") != b"NOTSET" or set(given.get("dilations", (1,))) != {1}:
        return None
    strides = tuple(given.get("strides", (1, 1)))
    pads, extra = given.get("pads", (0, 0, 0, 0)), given.get("output_padding", (0, 0))
    grown = [
        weight.shape[2 + axis] - pads[axis] - pads[2 + axis] + extra[axis] for axis in range(2)
    ]
    if strides[0] != strides[1] or grown != list(strides) or strides[0] < 2:
        return None
    return strides[0], (pads[0], pads[1])


def _phases(
    weight: NDArray[np.generic], stride: int, pads: tuple[int, int]
) -> tuple[NDArray[np.generic], list[int]]:
    """Weights `(O s s, I, h, w)` of the phases of `(I, O, H, W)`, and padding of the input."""
    inputs, outputs = weight.shape[:2]
    taps = [_taps(size, stride, pad) for size, pad in zip(weight.shape[2:], pads, strict=True)]
    (first_row, rows), (first_column, columns) = taps
    kernel = np.zeros((outputs, stride, stride, inputs, rows, columns), weight.dtype)
    for row, column, down, across in np.ndindex(stride, stride, rows, columns):
        top = row + pads[0] - stride * (first_row + down)
        left = column + pads[1] - stride * (first_column + across)
        if 0 <= top < weight.shape[2] and 0 <= left < weight.shape[3]:
            kernel[:, row, column, :, down, across] = weight[:, :, top, left].T
    around = [-first_row, -first_column, first_row + rows - 1, first_column + columns - 1]
    return kernel.reshape(outputs * stride**2, inputs, rows, columns), around


def _taps(size: int, stride: int, pad: int) -> tuple[int, int]:
    """First offset d of the inputs that an output reads, and the number of offsets."""
    first = math.ceil((pad - size + 1) / stride)
    last = (stride - 1 + pad) // stride
    return first, last - first + 1
