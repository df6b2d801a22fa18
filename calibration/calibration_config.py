"""What `vsrc calibrate` can be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Method = Literal["minmax", "entropy", "percentile", "mse"]
METHODS: tuple[Method, ...] = ("minmax", "entropy", "percentile", "mse")
FEW_WINDOWS = 100
"""Fewer than this are worth a warning."""


@dataclass(frozen=True)
class CalibrationConfig:
    """One calibration.

    Attributes:
        package: The model package, which has an fp32 graph; `calibration.json` is added to it.
        clips: Videos, pictures, folders of either, or globs: what the network will be fed, LR.
        method: How a range is found from the values that were seen.
        windows: How many windows are drawn.
        percentile: Of `method="percentile"`: how many of 100 values lie within the range.
        tile: Largest part of a frame that is fed, `(H, W)`; bounds the memory.
        seed: Of the draw.
        threads: CPU threads, 0 for as many as there are cores.
        min_psnr: dB that int8 pictures shall reach against those of fp32. Where they do not, the
            least set of convolutions that has to stay in float is found. The default is a little
            more than export asks for, which looks at other frames.
        sensitivity: Measure each convolution by itself in any case.
        float_layers: Convolutions that stay in float, whatever is measured.
        overwrite: Replace a calibration that is there; ranges that were learnt, too.
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
                "no calibration clips: name videos or folders of what the network will be fed"
            )
        if self.method not in METHODS:
            raise ValueError(f"method={self.method!r} is none of {', '.join(METHODS)}")
        if self.windows < 1:
            raise ValueError(f"windows={self.windows} leaves nothing to calibrate on; 300 is usual")
        if not 50 < self.percentile <= 100:
            raise ValueError(f"percentile={self.percentile} must lie in (50, 100]")
        if min(self.tile) < 1 or self.threads < 0:
            raise ValueError(
                f"tile={self.tile} must be 1 or more and threads={self.threads} not negative"
            )
