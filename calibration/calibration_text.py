"""Result of a calibration as text."""

from __future__ import annotations

from vsrc.calibration.calibrating import CalibrationResult
from vsrc.calibration.sensitivity_report import sensitivity_text


def calibration_text(result: CalibrationResult) -> str:
    """Format the sensitivities if measured, the input of the calibration and the PSNR of int8."""
    calibration = result.calibration
    blocks = []
    if result.sensitivities:
        blocks.append(sensitivity_text(result.sensitivities, calibration.float_layers))
    shots = sum(clip.shots for clip in calibration.clips)
    windows, clips = _count(calibration.windows, "window"), _count(len(calibration.clips), "clip")
    fed = f"{windows} from {_count(shots, 'shot')} of {clips}"
    how = (
        "ranges learnt in training" if calibration.is_learnt else f"ranges by {calibration.method}"
    )
    psnr = "as fp32" if calibration.psnr_db is None else f"{calibration.psnr_db:.2f} dB to fp32"
    blocks.append(f"{result.file}  {how}, {fed}")
    blocks.append(f"int8 outputs: {psnr}; layers in float: {_layers(calibration.float_layers)}")
    if calibration.equalised:
        blocks.append(
            f"channels between {_count(len(calibration.equalised), 'pair')} were balanced"
        )
    if result.stale:
        blocks.append(f"stale, not run until exported again: {', '.join(result.stale)}")
    return "\n".join(blocks)


def _layers(float_layers: tuple[str, ...]) -> str:
    return ", ".join(float_layers) or "none"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
