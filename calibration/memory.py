"""Choose the tile size of a calibration so that it needs less than 2 GB.

The sizes of all tensors are measured on a small frame and summed over their lifetimes; they grow
with the area. The process needs more, because ONNX Runtime also allocates work buffers:

    edge-s, 270 x 480     tensors 0.08 GB     measured 0.3 GB (histograms and all)
    edvr-xs, 272 x 480    tensors 0.85 GB     measured 1.8 GB
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from vsrc.calibration.ort_graph import open_model, state_of
from vsrc.runtime.backends.ort_run import run_graph
from vsrc.runtime.backends.ort_state import zero_arrays
from vsrc.runtime.spec import GraphSpec

if TYPE_CHECKING:
    import onnx

_BUDGET_BYTES = 0.72e9
"""Limit for tensors alive at a time; twice that plus 0.3 GB for the process is under 2 GB."""
_PROBE = 48


def affordable_tile(
    model: onnx.ModelProto, graph: GraphSpec, tile: tuple[int, int], *, multiple: int
) -> tuple[int, int]:
    """Return the tile, or a smaller one of about the same aspect ratio.

    Args:
        model: The graph to feed.
        graph: Its input sizes.
        tile: Requested size, `(H, W)`, LR pixels.
        multiple: Number that H and W must be multiples of.
    """
    probe = tuple(
        min(max(-(-_PROBE // multiple) * multiple, low), high)
        for low, high in (graph.height, graph.width)
    )
    needed = _alive_bytes(model, probe) / (probe[0] * probe[1]) * tile[0] * tile[1]
    share = math.sqrt(min(1.0, _BUDGET_BYTES / needed))
    rows, columns = (max(int(side * share) // multiple, 1) * multiple for side in tile)
    return tile if share == 1 else (rows, columns)


def _alive_bytes(model: onnx.ModelProto, size: tuple[int, ...]) -> int:
    """Peak bytes of tensors alive at a time for an input of one size, as float32."""
    nodes = model.graph.node
    names = [name for node in nodes for name in node.output if name]
    frames = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    session = open_model(_add_sizes(model, names), threads=1)
    height, width = size
    state = zero_arrays(session, state_of(model), count=1, height=height, width=width)
    outputs = run_graph(
        session, None, {"lr": np.zeros((1, frames, *size, 3), dtype=np.uint8), **state}
    )
    sizes = {name: 4 * int(count) for name, count in zip(names, outputs, strict=True)}
    last = {name: place for place, node in enumerate(nodes) for name in node.input}
    alive = most = 0
    for place, node in enumerate(nodes):
        alive += sum(sizes.get(name, 0) for name in node.output)
        most = max(most, alive)
        alive -= sum(sizes.get(name, 0) for name in set(node.input) if last[name] == place)
    return most


def _add_sizes(model: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """Copy a graph so that it outputs the number of elements of each tensor."""
    from onnx import TensorProto, helper

    result = type(model)()
    result.CopyFrom(model)
    del result.graph.output[:]
    for place, name in enumerate(names):
        count = f"count_{place}"
        result.graph.node.append(helper.make_node("Size", [name], [count]))
        result.graph.output.append(helper.make_tensor_value_info(count, TensorProto.INT64, None))
    return result
