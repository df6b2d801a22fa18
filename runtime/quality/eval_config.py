"""Options of `vsrc eval`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

METRICS = ("psnr", "ssim", "lpips", "vmaf", "tof", "warp")

EvalDegradation = Literal["auto", "bi", "bd", "given"]


@dataclass(frozen=True)
class EvalConfig:
    """What is measured on what, and how.

    Attributes:
        models: Packages; none for the student that comes with vsrc.
        data: A folder of clips, any layout; never one that a model was taught on.
        metrics: Of `METRICS`.
        degradation: How LR is made from HR. `auto` takes the LR twins where there are any, and else
            the degradation that the first model was taught for; `given` insists on the twins.
        border: Pixels left out at each edge for PSNR, SSIM and LPIPS. None for the usual: `scale`
            for stills, 0 for video.
        frames: Most frames of a clip, 0 for all.
        backend: What runs the models.
        precision: Which graph of a package; `auto` scores the one that `vsrc infer` runs.
        threads: CPU threads, 0 for all.
        lpips_vgg: VGG16 for LPIPS: torchvision's file, or its convolutions as safetensors.
        lpips_heads: Linear heads of LPIPS 0.1 for VGG16: `vgg.pth` of the package lpips.
    """

    data: Path
    models: tuple[Path, ...] = ()
    metrics: tuple[str, ...] = ("psnr", "ssim")
    degradation: EvalDegradation = "auto"
    border: int | None = None
    frames: int = 0
    backend: str = "auto"
    precision: str = "auto"
    threads: int = 0
    lpips_vgg: Path | None = None
    lpips_heads: Path | None = None

    def __post_init__(self) -> None:
        unknown = [metric for metric in self.metrics if metric not in METRICS]
        if unknown or not self.metrics:
            raise ValueError(f"metrics={','.join(self.metrics)!r}; there are: {', '.join(METRICS)}")
        if self.border is not None and self.border < 0:
            raise ValueError(f"border={self.border} must not be negative")
        if self.frames < 0 or self.threads < 0:
            raise ValueError(
                f"frames={self.frames} and threads={self.threads} must not be negative"
            )


@dataclass(frozen=True)
class EvalProgress:
    """How far it is: model, clip, and frames of that clip."""

    model: str
    clip: str
    frames: int
