"""Round, clip and cast the output of a graph with one operator.

    x ─ Mul 255 ─ Clip ─ Round ─ [Transpose] ─ Cast ─ sr     becomes
    x ─ QuantizeLinear (scale 1/255) ─ [Transpose] ─ sr

ONNX Runtime passes over the image once instead of four times. Not for NVIDIA's parser, which takes
uint8 outputs from a Cast alone.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from vsrc.export.graphs.graph_index import GraphIndex, drop_unread_constants

if TYPE_CHECKING:
    import onnx

logger = logging.getLogger(__name__)

_FORMS = (
    ("Cast", "Round", "Clip", "Mul"),
    ("Cast", "Transpose", "Round", "Clip", "Mul"),
)


def quantise_output(model: onnx.ModelProto) -> int:
    """Rewrite the output of a graph in place, if it has one of the forms above.

    Returns:
        Number of outputs rewritten, 0 or 1.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph, index = model.graph, GraphIndex(model)
    output = graph.output[0]
    chains = [index.chain_to(output.name, *form) for form in _FORMS]
    chain = chains[0] or chains[1]
    if chain is None or output.type.tensor_type.elem_type != TensorProto.UINT8:
        return 0
    rounding, clip, scaling = chain[-3:]
    limits = [index.constant(name) for name in clip.input[1:]]
    if index.scalar(scaling) != 255 or [float(x) for x in limits if x is not None] != [0, 255]:
        return 0
    constants = {"output_scale": np.float32(1 / 255), "output_zero": np.uint8(0)}
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    )
    turned = chain[1] if len(chain) == len(_FORMS[1]) else None
    result = output.name if turned is None else rounding.output[0]
    exact = index.computed(scaling)
    quantise = helper.make_node(
        "QuantizeLinear", [exact, *constants], [result], name="quantise_output"
    )
    if turned is not None:
        turned.output[0] = output.name
    removed = (chain[0], rounding, clip, scaling)
    gone = {node.name for node in removed}
    kept = [node for node in graph.node if node.name not in gone]
    at = len(kept) if turned is None else kept.index(turned)
    stale = {name for node in chain for name in node.output} - {output.name}
    known = [value for value in graph.value_info if value.name not in stale]
    del graph.node[:], graph.value_info[:]
    graph.node.extend([*kept[:at], quantise, *kept[at:]])
    graph.value_info.extend(known)
    drop_unread_constants(graph, (name for node in removed for name in node.input))
    logger.info("the output is rounded and clipped by QuantizeLinear")
    return 1
