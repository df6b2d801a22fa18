"""What a calibration tells of itself while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stage = Literal["survey", "feed", "sensitivity", "choose"]


@dataclass(frozen=True)
class CalibrationProgress:
    """Where it is.

    Attributes:
        stage: `survey` frames for the draw, `feed` windows, measure `sensitivity`, `choose` layers.
        name: Clip or convolution at hand.
        done: Frames, windows or convolutions so far.
        total: How many there will be, 0 where that is not known.
    """

    stage: Stage
    name: str
    done: int
    total: int


CalibrationCallback = Callable[[CalibrationProgress], None]


def silent(_now: CalibrationProgress) -> None:
    """Tell nobody."""
