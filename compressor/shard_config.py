"""Configuration of `vsrc shard`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vsrc.runtime.spec import Argument


@dataclass(frozen=True, kw_only=True)
class ShardConfig:
    """Configuration of shards of crops.

    Attributes:
        data: Folders of videos or frames.
        output: Folder of the shards.
        teachers: Names, packages, `module:function` or `spandrel:FILE`; the mean of
            their outputs is stored. Without a teacher only crops are cut.
        teacher_weights: Checkpoint of each teacher, in the same order.
        teacher_arguments: Constructor arguments of each teacher, in the same order; empty for none.
        teacher_precision: Arithmetic of the teachers; bf16 takes half the time on processors with
            bfloat16. The mean of RLFN and Mobile RRN then differs from that of fp32 by 54 dB.
        mix: Weight of each teacher in the mean; empty for equal weights.
        crops: Number of crops, rounded up to whole shards.
        shard_crops: Number of crops in one shard.
        crops_per_frame: Number of crops cut from each frame; teachers upscale whole frames.
        run_frames: Maximum number of consecutive frames of one shot fed to a teacher at once.
        scale: SR/LR side ratio.
        degradation: How LR is made from HR. With `real` the teachers see LR by bicubic instead, and
            the student learns their outputs from the degraded LR.
        clip_length: L, frames of the LR window of a crop.
        patch: Side of the HR crop, pixels.
        candidates: Number of places drawn for each crop, of which the one with most detail is
            taken.
        max_height: HR frame height above which frames are downscaled first, pixels.
        holdout: Fraction of the frames that is held out for validation.
        holdout_clips: Number of held-out clips that are stored.
        seed: Seed of every random draw.
        cache: Folder of decoded frames; None for the user's cache folder.
    """

    data: tuple[Path, ...]
    output: Path
    teachers: tuple[str, ...] = ()
    teacher_weights: tuple[Path, ...] = ()
    teacher_arguments: tuple[dict[str, Argument], ...] = ()
    teacher_precision: Literal["fp32", "bf16"] = "fp32"
    mix: tuple[float, ...] = ()
    crops: int = 50_000
    shard_crops: int = 2_048
    crops_per_frame: int = 10
    run_frames: int = 15
    scale: int = 4
    degradation: Literal["bi", "bd", "real", "given"] = "bi"
    clip_length: int = 5
    patch: int = 128
    candidates: int = 4
    max_height: int | None = None
    holdout: float = 0.02
    holdout_clips: int = 8
    seed: int = 0
    cache: Path | None = None

    def __post_init__(self) -> None:
        if not self.data:
            raise ValueError("no data: name folders of videos or frames with --data")
        for name in ("crops", "shard_crops", "crops_per_frame", "candidates", "clip_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        if self.run_frames < self.clip_length:
            raise ValueError(
                f"run_frames={self.run_frames} must be at least clip_length={self.clip_length}"
            )
        if self.patch < self.scale:
            raise ValueError(f"patch={self.patch} must be at least scale={self.scale}")
        if not 0 <= self.holdout < 1:
            raise ValueError(f"holdout={self.holdout} must lie in [0, 1)")
        self._check_teachers()

    def _check_teachers(self) -> None:
        for name in ("teacher_weights", "teacher_arguments", "mix"):
            if (count := len(getattr(self, name))) not in (0, len(self.teachers)):
                raise ValueError(
                    f"{count} {name} for {len(self.teachers)} teachers: give one for each, or none"
                )
        if any(share <= 0 for share in self.mix):
            raise ValueError(f"mix={list(self.mix)} must hold weights above 0")

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.crops // self.shard_crops)
