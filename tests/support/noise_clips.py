"""Tiny clips to train with, made in code."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class NoiseBatch:
    """Clips of smooth noise; LR is the mean of 4x4 pixels."""

    lr: Tensor
    hr: Tensor
    sources: tuple[str, ...]


class NoiseClips:
    """Batch b of process p of n, a function of these numbers alone, like real data.

    Args:
        clips: Clips of a batch.
        length: Frames of a clip.
        side: LR pixels.
    """

    def __init__(self, *, clips: int = 2, length: int = 3, side: int = 8) -> None:
        self.clips, self.length, self.side = clips, length, side

    def __call__(
        self, start: int, /, *, process: int, processes: int
    ) -> Generator[NoiseBatch, None, None]:
        number = start
        while True:
            first = (number * processes + process) * self.clips
            items = range(first, first + self.clips)
            hr = torch.stack([self.clip(item) for item in items])
            lr = F.avg_pool2d(hr.flatten(0, 1), 4).reshape(
                self.clips, self.length, 3, self.side, -1
            )
            yield NoiseBatch(lr, hr, tuple(f"noise {item}" for item in items))
            number += 1

    def clip(self, item: int) -> Tensor:
        generator = torch.Generator().manual_seed(item)
        coarse = torch.rand(self.length, 3, self.side, self.side, generator=generator)
        return F.interpolate(coarse, scale_factor=4.0, mode="bicubic").clamp(0, 1)
