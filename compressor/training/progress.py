"""Progress of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainProgress:
    """State of a run after a step.

    Attributes:
        step: Number of steps done.
        steps: Number of steps of the run.
        loss: Loss of the step.
        terms: Weighted terms of the loss, by name.
        psnr: PSNR of Y on held-out clips, dB, at the last validation.
        bicubic_psnr: PSNR of bicubic upscaling on the same clips, dB; None without held-out clips.
        learning_rate: Learning rate of the step.
        images_per_second: HR frames upscaled per second, by all processes.
        wait_share: Fraction of the time spent waiting for data, in [0, 1].
        eta_seconds: Estimated remaining time, seconds.
        threads: Number of threads that compute a step; None on a GPU.
        notice: Line for the user about what the run decided at this step, or empty.
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
    threads: int | None = None
    notice: str = ""


def scalars(progress: TrainProgress) -> dict[str, float]:
    """Values of a log entry, by name."""
    scalars = {f"loss/{name}": value for name, value in progress.terms.items()}
    scalars |= {
        "loss": progress.loss,
        "learning_rate": progress.learning_rate,
        "images_per_second": progress.images_per_second,
        "wait_share": progress.wait_share,
    }
    if progress.threads is not None:
        scalars["threads"] = progress.threads
    if progress.psnr is not None:
        scalars["psnr"] = progress.psnr
        if progress.bicubic_psnr is not None:
            scalars["psnr_over_bicubic"] = progress.psnr - progress.bicubic_psnr
    return scalars
