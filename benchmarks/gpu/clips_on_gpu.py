"""All training clips in the memory of the GPU, and batches cut out of them there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from vsrc.runtime.picture.bicubic import resize_matrix


def read_clips(folders: Sequence[Path], device: torch.device) -> list[Tensor]:
    """Frames of every video, `(T, H, W, 3)` uint8 RGB on the device; sides are multiples of 4."""
    found = []
    for path in sorted(path for folder in folders for path in folder.glob("*.mp4")):
        video, frames = cv2.VideoCapture(str(path)), []
        while True:
            there, frame = video.read()
            if not there:
                break
            frames.append(frame[: frame.shape[0] // 4 * 4, : frame.shape[1] // 4 * 4, ::-1])
        if frames:
            found.append(torch.from_numpy(np.stack(frames)).to(device))
    return found


class Clips:
    """Clips with their LR twins (MATLAB bicubic, rounded to 8 bits).

    Args:
        clips: What `read_clips` gave.
        scale: HR/LR side ratio.
        window: LR frames of a sample; the centre one is the HR frame.
        patch: Side of the LR crop, pixels.
        seed: Of the draw.
    """

    def __init__(
        self, clips: Sequence[Tensor], *, scale: int, window: int, patch: int, seed: int
    ) -> None:
        self.scale, self.window, self.patch = scale, window, patch
        fitting = [c for c in clips if len(c) >= window and min(c.shape[1:3]) >= patch * scale]
        if not fitting:
            raise ValueError(f"no clip has {window} frames of {patch * scale} pixels")
        self.hr = [clip.permute(0, 3, 1, 2).contiguous() for clip in fitting]
        self.lr = [reduced(clip, scale) for clip in self.hr]
        self.random = np.random.default_rng(seed)
        frames = np.array([len(clip) for clip in self.hr], dtype=np.float64)
        self.share = frames / frames.sum()

    @property
    def frames(self) -> int:
        """Of all clips."""
        return sum(map(len, self.hr))

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """LR `(N, T, 3, h, w)` and HR `(N, 3, sh, sw)`, float32 in [0, 1]; flips, turns, time."""
        lr, hr = zip(*(self._sample() for _ in range(size)), strict=True)
        return torch.stack(lr).float() / 255, torch.stack(hr).float() / 255

    def _sample(self) -> tuple[Tensor, Tensor]:
        random, patch, scale = self.random, self.patch, self.scale
        at = int(random.choice(len(self.hr), p=self.share))
        frames, _, height, width = self.lr[at].shape
        first = int(random.integers(frames - self.window + 1))
        y, x = int(random.integers(height - patch + 1)), int(random.integers(width - patch + 1))
        lr = self.lr[at][first : first + self.window, :, y : y + patch, x : x + patch]
        centre, top, left, side = first + self.window // 2, y * scale, x * scale, patch * scale
        hr = self.hr[at][centre, :, top : top + side, left : left + side]
        if random.random() < 0.5:
            lr = lr.flip(0)
        axes = [axis for axis in (-1, -2) if random.random() < 0.5]
        lr, hr = lr.flip(axes), hr.flip(axes)
        if random.random() < 0.5:
            lr, hr = lr.transpose(-1, -2), hr.transpose(-1, -2)
        return lr, hr


def reduced(hr: Tensor, scale: int) -> Tensor:
    """LR of `(T, 3, H, W)` uint8, by the matrices that vsrc degrades with; 32 frames at a time."""
    rows, columns = (
        torch.from_numpy(resize_matrix(side, numerator=1, denominator=scale).astype(np.float32))
        for side in hr.shape[2:]
    )
    rows, columns = rows.to(hr.device), columns.to(hr.device)
    done = []
    for part in torch.split(hr, 32):
        small = rows @ part.float() @ columns.T
        done.append((small + 0.5).floor().clamp(0, 255).to(torch.uint8))
    return torch.cat(done)
