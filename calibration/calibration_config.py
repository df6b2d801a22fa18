"""Settings of `vsrc calibrate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Method = Literal["minmax", "entropy", "percentile", "mse"]
METHODS: tuple[Method, ...] = ("minmax", "entropy", "percentile", "mse")
FEW_WINDOWS = 100
"""Number of windows below which a warning is given."""


@dataclass(frozen=True)
class CalibrationConfig:
    """Settings of one calibration.

    Attributes:
        package: Model package with an fp32 graph; `calibration.json` is added to it.
        clips: LR videos, images, folders of either, or globs, like those the network will upscale.
        method: Method that derives a range from the observed values.
        windows: Number of windows to draw.
        percentile: Percentage of values within the range, for `method="percentile"`.
        tile: Largest part of a frame that is fed, `(H, W)`, LR pixels; bounds the memory.
        seed: Seed of the draw.
        threads: CPU threads, 0 for as many as there are cores.
        min_psnr: Required PSNR of int8 against fp32, dB. If it is not reached, the smallest set of
            convolutions that must stay in float is searched. The default is a little above the
            limit of export, which compares other frames.
        sensitivity: Whether each convolution is measured alone even if `min_psnr` is reached.
        float_layers: Convolutions that stay in float, whatever is measured.
        overwrite: Whether an existing calibration is replaced, including learnt ranges.
    """

    package: Path
    clips: tuple[str | Path, ...] = ()
    method: Method = "minmax"
    windows: int = 300
    percentile: float = 99.999
    tile: tuple[int, int] = (270, 480)
    seed: int = 0
    threads: int = 0
    min_psnr: float = 42.0
    sensitivity: bool = False
    float_layers: tuple[str, ...] = ()
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not self.clips:
            raise ValueError(
                "no calibration clips: name videos or folders like those the network will upscale"
            )
        if self.method not in METHODS:
            raise ValueError(f"method={self.method!r} must be one of {', '.join(METHODS)}")
        if self.windows < 1:
            raise ValueError(f"windows={self.windows} must be 1 or more; 300 is usual")
        if not 50 < self.percentile <= 100:
            raise ValueError(f"percentile={self.percentile} must lie in (50, 100]")
        if min(self.tile) < 1 or self.threads < 0:
            raise ValueError(
                f"tile={self.tile} must be 1 or more and threads={self.threads} not negative"
            )
