"""Ranges for int8 graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsrc.calibration.calibration_file import read_calibration
from vsrc.export.config import ExportConfig, ExportProgress, ExportStep
from vsrc.runtime.errors import SpecError

if TYPE_CHECKING:
    from vsrc.calibration.calibration_file import Calibration
    from vsrc.runtime.package import Package


def ranges_for(package: Package, config: ExportConfig, progress: ExportProgress) -> Calibration:
    """Ranges of the package, or new ones calibrated on the given clips.

    Raises:
        SpecError: The package has no ranges, or they belong to other weights.
    """
    calibration = read_calibration(package.path)
    if config.calib and (calibration is None or not calibration.is_learnt):
        calibration = _calibrate(package, config, progress)
    if calibration is None:
        raise SpecError(
            f"{package.path} has no ranges, and int8 needs them: run vsrc calibrate "
            f"{package.path} CLIPS, or add --calib CLIPS"
        )
    if calibration.weights_sha256 not in (None, package.spec.weights.sha256):
        raise SpecError(
            f"the ranges of {package.path} were found for other weights; run vsrc calibrate "
            f"{package.path} CLIPS --overwrite"
        )
    progress(ExportStep(f"using the ranges of the package ({calibration.method})"))
    return calibration


def _calibrate(package: Package, config: ExportConfig, progress: ExportProgress) -> Calibration:
    from vsrc.calibration.calibrating import calibrate
    from vsrc.calibration.calibration_config import CalibrationConfig

    wanted = CalibrationConfig(package.path, clips=config.calib, overwrite=True)
    tell = lambda now: progress(ExportStep(f"calibrating: {now.stage}", now.done, now.total))  # noqa: E731
    return calibrate(wanted, progress=tell).calibration
