"""Select calibration windows from clips and measure the ranges of activations on them."""

from typing import TYPE_CHECKING

from vsrc.runtime.lazy import lazy_names

if TYPE_CHECKING:
    from vsrc.calibration.calibrating import calibrate as calibrate
    from vsrc.calibration.calibration_config import CalibrationConfig as CalibrationConfig

__all__ = ["CalibrationConfig", "calibrate"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "CalibrationConfig": "vsrc.calibration.calibration_config",
        "calibrate": "vsrc.calibration.calibrating",
    },
)
