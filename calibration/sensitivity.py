"""Error of each convolution when it alone is int8, and which convolutions must stay in float."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsrc.calibration.calibration_file import Range
from vsrc.calibration.convolutions import convolutions
from vsrc.calibration.fidelity import Fidelity, psnr_or_none
from vsrc.calibration.progress import CalibrationCallback, CalibrationProgress, silent
from vsrc.calibration.qdq import insert_qdq
from vsrc.calibration.rounding import Rounding, round_keeping_sums

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class LayerSensitivity:
    """Error of the graph in which only one convolution is int8.

    Attributes:
        key: Module path of the convolution.
        psnr_db: PSNR of the outputs against fp32; None if they are equal.
        share: Its share of the summed errors of all convolutions measured one by one, 0..1.
    """

    key: str
    psnr_db: float | None
    share: float


@dataclass(frozen=True)
class FloatLayers:
    """Convolutions that stay in float.

    Attributes:
        float_layers: Module paths of the smallest sufficient set, in graph order.
        psnr_db: PSNR of the outputs against fp32 with all other convolutions int8.
    """

    float_layers: tuple[str, ...]
    psnr_db: float | None


def int8_error(
    model: onnx.ModelProto,
    ranges: Mapping[str, Range],
    fidelity: Fidelity,
    *,
    only: Collection[str],
    rounding: Rounding = round_keeping_sums,
) -> float:
    """Mean squared difference to fp32, in units of (1/255)^2, with only these convolutions int8."""
    changed = type(model)()
    changed.CopyFrom(model)
    return (
        fidelity.error(changed)
        if insert_qdq(changed, ranges, only=only, rounding=rounding)
        else 0.0
    )


def sensitivities(
    model: onnx.ModelProto,
    ranges: Mapping[str, Range],
    fidelity: Fidelity,
    *,
    rounding: Rounding = round_keeping_sums,
    progress: CalibrationCallback = silent,
) -> list[LayerSensitivity]:
    """Measure each convolution quantised alone; the one with the largest error first.

    Args:
        model: The fp32 graph.
        ranges: Convolution -> range of its input.
        fidelity: Comparison with fp32 on fixed windows.
        rounding: Function that rounds weights.
        progress: Called for each convolution.
    """
    keys = list(dict.fromkeys(convolution.key for convolution in convolutions(model.graph)))
    errors = {}
    for done, key in enumerate(keys):
        progress(CalibrationProgress("sensitivity", key, done, len(keys)))
        errors[key] = int8_error(model, ranges, fidelity, only={key}, rounding=rounding)
    whole = sum(errors.values()) or 1.0
    ranked = sorted(keys, key=lambda key: -errors[key])  # stable: ties in the order of the graph
    return [LayerSensitivity(key, psnr_or_none(errors[key]), errors[key] / whole) for key in ranked]


def least_float_layers(
    model: onnx.ModelProto,
    ranges: Mapping[str, Range],
    fidelity: Fidelity,
    ranked: Sequence[LayerSensitivity],
    *,
    min_psnr_db: float,
    always: Collection[str] = (),
    progress: CalibrationCallback = silent,
) -> FloatLayers:
    """Keep the most sensitive convolutions in float, as few as reach the required PSNR.

    Args:
        model: The fp32 graph.
        ranges: Convolution -> range of its input.
        fidelity: Comparison with fp32 on fixed windows.
        ranked: Convolutions, the one with the largest error first.
        min_psnr_db: Required PSNR, dB.
        always: Convolutions that stay in float in any case.
        progress: Called for each attempt.
    """
    order = [layer.key for layer in ranked if layer.key not in always]
    limit = 255**2 / 10 ** (min_psnr_db / 10)
    kept = _predict_count(ranked, limit, always)
    tried: dict[int, float] = {}

    def error(count: int) -> float:
        if count not in tried:
            progress(CalibrationProgress("choose", f"{count} in float", len(tried), 0))
            tried[count] = int8_error(model, ranges, fidelity, only=set(order[count:]))
        return tried[count]

    # Errors of single convolutions nearly add up, so the prediction is a step or two off at most.
    while kept < len(order) and error(kept) > limit:
        kept += 1
    while kept > 0 and error(kept - 1) <= limit:
        kept -= 1
    left = {*order[:kept], *always}
    in_order = dict.fromkeys(
        convolution.key for convolution in convolutions(model.graph) if convolution.key in left
    )
    return FloatLayers(tuple(in_order), psnr_or_none(error(kept)))


def _predict_count(
    ranked: Sequence[LayerSensitivity], limit: float, always: Collection[str]
) -> int:
    """Estimate how many must stay in float, assuming that errors of convolutions add up."""
    errors = [
        0.0 if layer.psnr_db is None else 255**2 / 10 ** (layer.psnr_db / 10)
        for layer in ranked
        if layer.key not in always
    ]
    return next(count for count in range(len(errors) + 1) if sum(errors[count:]) <= limit)
