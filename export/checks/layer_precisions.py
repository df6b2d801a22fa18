"""Read the precision of an engine's layers from its inspector.

The inspector of TensorRT 8.6 to 11 describes each layer by a JSON object, if the engine was built
with detailed profiling. The type of a tensor is a word in its format:

    8.6     "Row major linear FP32"    "Thirty-two wide channel vectorized row major Int8 format"
    10, 11  "Float"  "Half"  "Int8"    or one of the above
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from vsrc.runtime.errors import GateError
from vsrc.runtime.spec import Precision

_WORDS = {
    "fp32": re.compile(r"\b(fp32|float|float32|tf32)\b", re.IGNORECASE),
    "fp16": re.compile(r"\b(fp16|half|float16)\b", re.IGNORECASE),
    "int8": re.compile(r"\bint8\b", re.IGNORECASE),
}
_TYPE_KEYS = ("Format/Datatype", "Datatype", "DataType", "Format")
_CONVOLUTION = re.compile(r"conv", re.IGNORECASE)
TOLERATED = 0.101
"""Fraction of convolutions that may compute in another precision than requested."""


def convolution_precisions(information: str) -> dict[str, int]:
    """Count the convolutions of an engine by input precision: fp32, fp16 and int8.

    Args:
        information: JSON from `EngineInspector.get_engine_information`.

    Returns:
        Precision -> number; empty if no layer is reported as a convolution, as when the whole
            network was compiled into one.
    """
    try:
        layers = json.loads(information).get("Layers", [])
    except (ValueError, AttributeError):
        return {}
    precisions: Counter[str] = Counter()
    for layer in layers:
        if isinstance(layer, dict) and _is_convolution(layer):
            precisions[_precision(layer)] += 1
    return dict(sorted(precisions.items()))


def check_share(
    asked: Mapping[str, int], actual: Mapping[str, int], *, precision: Precision, typed: bool
) -> None:
    """Reject an engine that does not compute in its nominal precision.

    Args:
        asked: Number of convolutions of the graph by precision.
        actual: Number of convolutions of the engine by precision.
        precision: Nominal precision of the engine.
        typed: Whether the network is strongly typed.

    Raises:
        GateError: Too few convolutions compute in that precision; or their precision is unknown
            and the network is not strongly typed.
    """
    if precision == "fp32":
        return
    if not actual and not typed:
        raise GateError(
            f"the engine does not say in which precision it computes, and this TensorRT chooses "
            f"freely; no {precision} engine was written: use TensorRT 10 or newer"
        )
    if not actual:
        return
    wanted = asked.get(precision, 0) / max(1, sum(asked.values()))
    share = actual.get(precision, 0) / sum(actual.values())
    if share < wanted - TOLERATED:
        counts = ", ".join(f"{number} {name}" for name, number in actual.items())
        raise GateError(
            f"{100 * wanted:.0f} % of the convolutions were asked to be {precision}, and "
            f"{100 * share:.0f} % are ({counts}); no engine was written: TensorRT has no faster "
            f"{precision} kernel for the others on this GPU, so export another precision"
        )


def _is_convolution(layer: Mapping[str, Any]) -> bool:
    kind = f"{layer.get('ParameterType', '')} {layer.get('LayerType', '')}"
    return bool(_CONVOLUTION.search(kind))


def _precision(layer: Mapping[str, Any]) -> str:
    """Precision of the inputs: int8 kernels may have half outputs."""
    read = " ".join(
        str(tensor.get(key, ""))
        for tensor in layer.get("Inputs", [])[:1]
        if isinstance(tensor, dict)
        for key in _TYPE_KEYS
    )
    return next((name for name, word in _WORDS.items() if word.search(read)), "other")
