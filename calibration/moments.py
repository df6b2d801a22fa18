"""Second moments of what the convolutions of a graph read, on real frames.

    patch = the I kh kw values that one output pixel of a convolution is the weighted sum of
    moments = mean of patch x patch over pixels and windows

They tell which errors of weights cancel each other (`calibration/compensated_rounding.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vsrc.calibration.convolutions import Convolution, convolutions
from vsrc.calibration.ort_graph import open_model

if TYPE_CHECKING:
    import onnx

_SIDE = 96
"""Rows and columns of each tensor that patches are taken from: whole ones stay in the graph."""
_MOST_PATCHES = 1000
"""Largest number of patches of a window for each convolution."""
_MOST_WEIGHTS = 1200
"""Convolutions with more weights for each output channel are left out: the time grows with the
cube of their number."""
_LEAST_PATCHES = 4
"""Patches for each weight that there must be: fewer tell nothing of most directions."""


@dataclass(frozen=True)
class _Reader:
    """A convolution whose patches are taken.

    Attributes:
        conv: The convolution.
        kernel: Rows and columns of its kernel.
        strides: Vertical and horizontal distance of its patches.
        pads: Rows and columns of zeros above and to the left.
    """

    conv: Convolution
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int]

    def patches(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take patches, `(P, I kh kw)`, of the corner of an input, `(N, I, H, W)`."""
        (top, left), (rows, columns) = self.pads, self.kernel
        padded = np.pad(values, ((0, 0), (0, 0), (top, 0), (left, 0)))
        if padded.shape[2] < rows or padded.shape[3] < columns:
            return np.empty((0, values.shape[1] * rows * columns), np.float32)
        views = np.lib.stride_tricks.sliding_window_view(padded, self.kernel, axis=(2, 3))
        views = np.moveaxis(views[:, :, :: self.strides[0], :: self.strides[1]], 1, 3)
        places = views.shape[:3]
        count = int(np.prod(places))
        chosen = np.linspace(0, count - 1, min(count, _MOST_PATCHES)).astype(np.int64)
        return views[np.unravel_index(chosen, places)].reshape(len(chosen), -1)


def measure_moments(
    model: onnx.ModelProto, feeds: Iterable[Mapping[str, Any]]
) -> dict[str, NDArray[np.float64]]:
    """Run a float graph on windows and return the moments of its convolutions, by module path.

    Left out are grouped, dilated, transposed and very wide convolutions, and those that read too
    few pixels: averages of the whole frame, for example.

    Args:
        model: An fp32 graph.
        feeds: Inputs of each run.

    Returns:
        Convolution -> `(n, n)`, n = I kh kw.
    """
    readers = _readers(model)
    if not readers:
        return {}
    names = dict.fromkeys(each.conv.input for each in readers)
    tensors = {name: f"part_{at}" for at, name in enumerate(names)}
    sums: dict[str, NDArray[np.float64]] = {}
    counts: Counter[str] = Counter()
    session = open_model(_with_parts(model, tensors), threads=0)
    for fed in feeds:
        results = session.run(list(tensors.values()), dict(fed))
        parts = dict(zip(tensors, results, strict=True))
        for reader in readers:
            key, patches = reader.conv.key, reader.patches(parts[reader.conv.input])
            sums[key] = sums.get(key, 0.0) + (patches.T @ patches).astype(np.float64)
            counts[key] += len(patches)
    return {
        key: total / counts[key]
        for key, total in sums.items()
        if counts[key] >= _LEAST_PATCHES * len(total) and np.trace(total) > 0
    }


def _readers(model: onnx.ModelProto) -> list[_Reader]:
    from onnx import helper

    nodes = {node.name: node for node in model.graph.node}
    dims = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    readers = []
    for conv in convolutions(model.graph):
        known: dict[str, Any] = {
            each.name: helper.get_attribute_value(each) for each in nodes[conv.node].attribute
        }
        inputs, rows, columns = dims[conv.weight][1:]
        is_plain = (
            conv.op == "Conv"
            and known.get("group", 1) == 1
            and set(known.get("dilations", (1,))) == {1}
        )
        if is_plain and inputs * rows * columns <= _MOST_WEIGHTS:
            strides, pads = known.get("strides", (1, 1)), known.get("pads", (0, 0))
            readers.append(_Reader(conv, (rows, columns), tuple(strides), tuple(pads[:2])))
    return readers


def _with_parts(model: onnx.ModelProto, tensors: Mapping[str, str]) -> onnx.ModelProto:
    """Copy a graph so that it outputs a corner of each of these tensors."""
    from onnx import TensorProto, helper, numpy_helper

    result = type(model)()
    result.CopyFrom(model)
    graph = result.graph
    bounds = {"part_starts": [0, 0], "part_ends": [_SIDE, _SIDE], "part_axes": [2, 3]}
    graph.initializer.extend(
        numpy_helper.from_array(np.array(values, np.int64), name) for name, values in bounds.items()
    )
    del graph.output[:]
    for tensor, part in tensors.items():
        graph.node.append(helper.make_node("Slice", [tensor, *bounds], [part], name=part))
        graph.output.append(helper.make_tensor_value_info(part, TensorProto.FLOAT, None))
    return result
