"""Read the precision of an engine's layers from its inspector.

The inspector of TensorRT 8.6 to 11 describes each layer by a JSON object, if the engine was built
with detailed profiling. What tells the precision of a convolution, the most reliable first:

    Weights.Type     "Float"  "Half"  "Int8"
    TacticName       "sm80_xmma_fprop_implicit_gemm_interleaved_i8f16_i8i32_f32_..." (reads i8)
    Format/Datatype  "Row major linear FP32"   "Half"   "Thirty-two wide ... row major Int8 format"

With an optimisation profile, the formats are "N/A due to dynamic shapes" in all tensors of 8.6 and
10. A convolution about which nothing is said counts as unknown, never as another precision.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from vsrc.runtime.backends.device.engine_file import PrecisionEvidence
from vsrc.runtime.errors import GateError
from vsrc.runtime.spec import Precision

UNKNOWN = "unknown"
"""Key of the convolutions whose precision the inspector does not tell."""

_WORDS = {
    "fp32": re.compile(r"\b(fp32|float|float32|tf32)\b", re.IGNORECASE),
    "fp16": re.compile(r"\b(fp16|half|float16)\b", re.IGNORECASE),
    "int8": re.compile(r"\bint8\b", re.IGNORECASE),
    "bf16": re.compile(r"\b(bf16|bfloat16)\b", re.IGNORECASE),
    "fp8": re.compile(r"\b(fp8|float8\w*)\b", re.IGNORECASE),
}
_TYPE_KEYS = ("format/datatype", "datatype", "format")

_READ = re.compile(r"_(f32|tf32|f16|bf16|i8|e4m3|e5m2)(?:f32|tf32|f16|bf16|i8|i32|e4m3|e5m2)?_")
_SHORT = {"f32": "fp32", "tf32": "fp32", "f16": "fp16", "i8": "int8", "e4m3": "fp8", "e5m2": "fp8"}
_TACTICS = {
    "int8": re.compile(r"int8|i8816|icudnn"),
    "fp16": re.compile(r"_h(?:\d+)?cudnn|_h(?:884|1688|16816)|_fp16"),
    "fp32": re.compile(r"scudnn|s1688|sgemm|_fp32"),
}
"""Kernels are named by what they read, first: xmma's by pairs of types (`_READ`), cuDNN's as in
"ampere_scudnn_128x64", "turing_h1688cudnn_256x64" and "volta_int8_i8816cudnn_int8_256x128"."""
_DEPTH = 3
"""Levels of a layer that are read: its keys, its inputs, and the keys of each."""
_CONVOLUTION = re.compile(r"conv", re.IGNORECASE)
TOLERATED = 0.101
"""Fraction of convolutions that may compute in another precision than requested."""


def convolution_precisions(information: str) -> dict[str, int]:
    """Count the convolutions of an engine by precision: fp32, fp16, int8, ..., or `UNKNOWN`.

    Args:
        information: JSON from `EngineInspector.get_engine_information`.

    Returns:
        Precision -> number; empty if no layer is reported as a convolution, as when the whole
            network was compiled into one.
    """
    try:
        layers = json.loads(information).get("Layers", [])
    except (ValueError, AttributeError, TypeError, RecursionError):
        return {}
    precisions: Counter[str] = Counter()
    for layer in layers if isinstance(layers, list) else []:
        if isinstance(layer, dict) and _is_convolution(described := _lower_keys(layer)):
            precisions[_precision(described)] += 1
    return dict(sorted(precisions.items()))


def check_share(
    asked: Mapping[str, int], actual: Mapping[str, int], *, precision: Precision, typed: bool
) -> PrecisionEvidence:
    """Reject an engine whose layers are told to compute in another precision.

    Args:
        asked: Number of convolutions of the graph by precision.
        actual: Number of convolutions of the engine by precision, `UNKNOWN` among them.
        precision: Nominal precision of the engine.
        typed: Whether the network is strongly typed.

    Returns:
        What proves the precision; `none` if the engine must be judged by its pictures and speed.

    Raises:
        GateError: Too few convolutions can be of that precision, even if all unknown ones are.
    """
    if precision == "fp32":
        return "layers" if actual and UNKNOWN not in actual else "graph"
    total = sum(actual.values())
    wanted = asked.get(precision, 0) / max(1, sum(asked.values())) - TOLERATED
    told = actual.get(precision, 0)
    if total and told / total >= wanted:
        return "layers"
    if not total or (told + actual.get(UNKNOWN, 0)) / total >= wanted:
        return "graph" if typed else "none"
    counts = ", ".join(f"{number} {name}" for name, number in actual.items())
    raise GateError(
        f"{100 * (wanted + TOLERATED):.0f} % of the convolutions were asked to be {precision}, and "
        f"{100 * told / total:.0f} % are ({counts}); no engine was written: TensorRT has no faster "
        f"{precision} kernel for the others on this GPU, so export another precision"
    )


def _is_convolution(layer: Mapping[str, Any]) -> bool:
    kind = f"{layer.get('parametertype', '')} {layer.get('layertype', '')}"
    return bool(_CONVOLUTION.search(kind))


def _precision(layer: Mapping[str, Any]) -> str:
    weights = layer.get("weights")
    if isinstance(weights, dict) and (kind := _by_word(str(weights.get("type", "")))):
        return kind
    if kind := _by_tactic(str(layer.get("tacticname", ""))):
        return kind
    inputs = layer.get("inputs")
    tensor = inputs[0] if isinstance(inputs, list) and inputs else None
    if not isinstance(tensor, dict):
        return UNKNOWN
    # Of the inputs: int8 kernels may have half outputs.
    return _by_word(" ".join(str(tensor.get(key, "")) for key in _TYPE_KEYS)) or UNKNOWN


def _by_word(text: str) -> str:
    return next((name for name, word in _WORDS.items() if word.search(text)), "")


def _by_tactic(name: str) -> str:
    """Precision that a kernel reads, by its name; empty if the name does not tell."""
    name = name.lower()
    if read := _READ.search(name):
        return _SHORT.get(read[1], read[1])
    return next((kind for kind, word in _TACTICS.items() if word.search(name)), "")


def _lower_keys(value: Any, depth: int = _DEPTH) -> Any:  # noqa: ANN401  JSON
    """Lower the keys of a JSON value: their spelling has changed between versions."""
    if depth and isinstance(value, dict):
        return {str(key).lower(): _lower_keys(each, depth - 1) for key, each in value.items()}
    if depth and isinstance(value, list):
        return [_lower_keys(each, depth - 1) for each in value]
    return value
