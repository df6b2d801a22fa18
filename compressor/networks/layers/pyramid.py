"""Feature pyramids at full, half and quarter resolution, used for alignment by EDVR and STDAN."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Pyramid = tuple[Tensor, Tensor, Tensor]
"""Features at full, half and quarter resolution."""


def lrelu(x: Tensor) -> Tensor:
    """Leaky ReLU with the slope both papers use."""
    return F.leaky_relu(x, 0.1)


def double(x: Tensor) -> Tensor:
    """Upscale height and width by 2, bilinear."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def conv3(channels: int, features: int, *, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size, or halves it."""
    return nn.Conv2d(channels, features, 3, stride, padding=1)


def to_windows(frames: Pyramid, *, batch: int) -> Pyramid:
    """Move frames off the batch axis of each level: `(N * T, C, h, w)` to `(N, T, C, h, w)`."""
    first, second, third = (x.reshape(batch, -1, *x.shape[1:]) for x in frames)
    return first, second, third


def backward(frames: Pyramid) -> Pyramid:
    """Reverse the frames of each level, `(N, T, C, h, w)`."""
    first, second, third = (torch.stack(x.unbind(1)[::-1], dim=1) for x in frames)
    return first, second, third


def flat(frames: Pyramid) -> Pyramid:
    """Move the frames of each level to the batch axis: `(N, T, C, h, w)` to `(N * T, C, h, w)`."""
    first, second, third = (x.flatten(0, 1) for x in frames)
    return first, second, third
