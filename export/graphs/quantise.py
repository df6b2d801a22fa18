"""Write an int8 graph from a float graph and calibrated ranges.

    target   activations                    weights                          made for
    nvidia   int8, symmetric, at the        int8, symmetric, per output      TensorRT 8.6 to 11 and
             input of convolutions only     channel                          TensorRT for RTX
    cpu      uint8 with a zero point, at    the same, of 7 bits              ONNX Runtime on the CPU
             input and output               (plus an int32 bias)

Both are float graphs with Q/DQ pairs: without integer kernels they give the same results, only
slower.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from vsrc.calibration.calibration_file import Calibration, Range
from vsrc.calibration.compensated_rounding import CompensatedRounding
from vsrc.calibration.convolutions import convolutions
from vsrc.calibration.equalise import equalise
from vsrc.calibration.qdq import insert_qdq
from vsrc.calibration.rounding import Rounding
from vsrc.export.graphs.byte_chain import find_byte_chain
from vsrc.export.graphs.byte_graph import write_byte_graph
from vsrc.export.graphs.byte_output import quantise_output
from vsrc.export.graphs.float_weights import keep_float_weights
from vsrc.export.graphs.quantise_cpu import insert_cpu_qdq
from vsrc.export.graphs.subpixel_convolution import replace_transposed
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.spec import Precision

if TYPE_CHECKING:
    import onnx

logger = logging.getLogger(__name__)

Int8Target = Literal["nvidia", "cpu"]
PRECISIONS: dict[Int8Target, Precision] = {"nvidia": "int8", "cpu": "int8-cpu"}
"""Name of the graph in a package, by target."""
_METADATA_KEY = "vsrc"


def int8_graph(
    model: onnx.ModelProto,
    calibration: Calibration,
    *,
    target: Int8Target,
    roundings: Mapping[str, CompensatedRounding] | None = None,
) -> onnx.ModelProto:
    """Return a copy with int8 convolutions; deterministic to the byte.

    Args:
        model: Graph from `to_onnx`, fp32; for `nvidia` also fp16, which the layers that are not
            int8 then keep.
        calibration: Ranges, and the convolutions that stay in float.
        target: Runtime that the graph is for.
        roundings: Convolution -> function that rounds its weights, instead of the usual one.

    Raises:
        MismatchError: No convolution of the graph has a range.
    """
    result = type(model)()
    result.CopyFrom(model)
    keys = {convolution.key for convolution in convolutions(result.graph)}
    chosen = keys - set(calibration.float_layers)
    applied = equalise(result, calibration.equalised)
    ranges, outputs = calibration.ranges_with(applied)
    roundings = _balance(roundings or {}, calibration, applied)
    if target == "nvidia":
        usual = calibration.rounding
        others = {} if calibration.is_learnt else roundings  # training rounded to these levels
        changed = insert_qdq(result, ranges, only=chosen, rounding=usual, roundings=others)
    elif chosen == keys and _write_bytes(result, ranges, roundings):
        changed = len(keys)
    else:
        replace_transposed(result)
        changed = insert_cpu_qdq(result, ranges, outputs, only=chosen, roundings=roundings)
        quantise_output(result)
        keep_float_weights(result)
    if not changed:
        raise MismatchError(_reason(keys, calibration))
    logger.info("%s: %d of %d convolutions are int8", target, changed, len(keys))
    _name_precision(result, PRECISIONS[target])
    return result


def _balance(
    roundings: Mapping[str, CompensatedRounding], calibration: Calibration, applied: Iterable[str]
) -> dict[str, CompensatedRounding]:
    """Roundings for a graph in which these convolutions of the calibration are balanced."""
    balanced = dict(roundings)
    for pair in (calibration.equalised[first] for first in applied):
        if pair.second in balanced:
            balanced[pair.second] = balanced[pair.second].balanced(pair.scales)
    return balanced


def _write_bytes(
    model: onnx.ModelProto, ranges: Mapping[str, Range], roundings: Mapping[str, Rounding]
) -> bool:
    """Write a graph of bytes in place, if the network has a form that permits it."""
    chain = find_byte_chain(model)
    return chain is not None and write_byte_graph(model, chain, ranges, roundings)


def _reason(keys: set[str], calibration: Calibration) -> str:
    missing = ", ".join(sorted(keys - set(calibration.ranges))[:3])
    if missing:
        return (
            f"the calibration has no range for convolutions of this graph ({missing}): it belongs "
            "to another network; calibrate again with --overwrite"
        )
    return (
        "no convolution is left to quantise: all stay in float by the calibration "
        "(float_layers), or have ranges of zero; calibrate again on clips with content"
    )


def _name_precision(model: onnx.ModelProto, precision: Precision) -> None:
    """Set the precision in the graph's metadata."""
    opset = next(
        opset_entry.version
        for opset_entry in model.opset_import
        if opset_entry.domain in ("", "ai.onnx")
    )
    for entry in model.metadata_props:
        if entry.key == _METADATA_KEY:
            description = json.loads(entry.value)
            description.get("graph", {}).update(precision=precision, opset=opset)
            entry.value = json.dumps(description, sort_keys=True)
