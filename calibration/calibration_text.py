"""Result of a calibration as text."""

from __future__ import annotations

from vsrc.calibration.calibrating import CalibrationResult
from vsrc.calibration.sensitivity_report import sensitivity_text
from vsrc.runtime.text.count_text import count_text
from vsrc.runtime.text.decibels import format_psnr


def calibration_text(result: CalibrationResult) -> str:
    """Format the sensitivities if measured, the input of the calibration and the PSNR of int8."""
    calibration = result.calibration
    blocks = []
    if result.sensitivities:
        blocks.append(sensitivity_text(result.sensitivities, calibration.float_layers))
    shots = sum(clip.shots for clip in calibration.clips)
    windows = count_text(calibration.windows, "window")
    clips = count_text(len(calibration.clips), "clip")
    fed = f"{windows} from {count_text(shots, 'shot')} of {clips}"
    how = (
        "ranges learnt in training" if calibration.is_learnt else f"ranges by {calibration.method}"
    )
    psnr = f"{format_psnr(calibration.psnr_db, digits=2)} to fp32"
    blocks.append(f"{result.file}  {how}, {fed}")
    blocks.append(f"int8 outputs: {psnr}; layers in float: {_layers(calibration.float_layers)}")
    if calibration.equalised:
        blocks.append(
            f"channels between {count_text(len(calibration.equalised), 'pair')} were balanced"
        )
    if result.stale:
        blocks.append(f"stale, not run until exported again: {', '.join(result.stale)}")
    return "\n".join(blocks)


def _layers(float_layers: tuple[str, ...]) -> str:
    return ", ".join(float_layers) or "none"
