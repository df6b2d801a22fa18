"""How far a run is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainProgress:
    """A run after one of its steps.

    Attributes:
        step: Steps done.
        steps: Steps of the whole run.
        loss: What was minimised.
        terms: Its parts, weighted, by name.
        psnr: PSNR of Y on held-out clips, dB, when last measured.
        bicubic_psnr: The same of bicubic enlargement, dB, where there are held-out clips.
        learning_rate: Of this step.
        images_per_second: HR frames restored, by all processes.
        wait_share: Share of the time spent waiting for data, in [0, 1].
        eta_seconds: Time left.
    """

    step: int
    steps: int
    loss: float
    terms: Mapping[str, float]
    psnr: float | None
    learning_rate: float
    images_per_second: float
    wait_share: float
    eta_seconds: float
    bicubic_psnr: float | None = None


def scalars(progress: TrainProgress) -> dict[str, float]:
    """What goes into the log."""
    scalars = {f"loss/{name}": value for name, value in progress.terms.items()}
    scalars |= {
        "loss": progress.loss,
        "learning_rate": progress.learning_rate,
        "images_per_second": progress.images_per_second,
        "wait_share": progress.wait_share,
    }
    if progress.psnr is not None:
        scalars["psnr"] = progress.psnr
        if progress.bicubic_psnr is not None:
            scalars["psnr_over_bicubic"] = progress.psnr - progress.bicubic_psnr
    return scalars
