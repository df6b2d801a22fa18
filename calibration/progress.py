"""Progress of a calibration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stage = Literal["survey", "feed", "sensitivity", "choose"]


@dataclass(frozen=True)
class CalibrationProgress:
    """Stage and counters of a running calibration.

    Attributes:
        stage: `survey` (scan frames for the draw), `feed` (run windows), `sensitivity` (measure
            convolutions) or `choose` (select float layers).
        name: Current clip or convolution.
        done: Number of frames, windows or convolutions so far.
        total: Their final number, 0 if unknown.
        clip: Number of the current clip of a survey, from 1; 0 for other stages.
        clips: Number of clips that are surveyed; 0 for other stages.
    """

    stage: Stage
    name: str
    done: int
    total: int
    clip: int = 0
    clips: int = 0


CalibrationCallback = Callable[[CalibrationProgress], None]


def silent(_now: CalibrationProgress) -> None:
    """Ignore progress reports."""
