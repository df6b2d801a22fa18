"""Options of `vsrc eval`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

METRICS = ("psnr", "ssim", "lpips", "vmaf", "tof", "warp")

EvalDegradation = Literal["auto", "bi", "bd", "given"]


@dataclass(frozen=True)
class EvalConfig:
    """Models, data and metrics of an evaluation.

    Attributes:
        models: Packages to measure; empty for the student that ships with vsrc.
        data: Folder of clips in any supported layout; must not be training data of a model.
        metrics: Names from `METRICS`.
        degradation: How LR is made from HR. `auto` uses the LR files of the data set if it has
            any, else the degradation that the first model was trained for; `given` requires the LR
            files.
        border: Width cropped from each edge for PSNR, SSIM and LPIPS, pixels. None for the usual:
            `scale` for still images, 0 for video.
        frames: Largest number of frames of a clip, 0 for all.
        backend: Backend that runs the models.
        precision: Precision of the graph; `auto` scores the graph that `vsrc infer` runs.
        threads: CPU threads, 0 for one per core.
        device: Index of the CUDA device, of those that CUDA_VISIBLE_DEVICES leaves.
        lpips_vgg: VGG16 weights for LPIPS: torchvision's file, or its convolutions as safetensors.
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
    device: int = 0
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
    """Progress of an evaluation.

    Attributes:
        model: Upscaler that is scored.
        clip: Name of the current clip.
        frames: Number of its frames that are scored.
        number: Number of the clip, from 1.
        clips: Number of clips.
    """

    model: str
    clip: str
    frames: int
    number: int
    clips: int

    def __str__(self) -> str:
        """Clip and frame: "2 of 11 clips  calendar  frame 3"."""
        clip = f"{self.number} of {self.clips} clips  {self.clip}"
        return f"{clip}  frame {self.frames}"
