"""MATLAB's bicubic upscaling as graph operators.

`F.interpolate(mode="bicubic")` uses Keys' kernel with a = -0.75; super-resolution papers use
MATLAB's, a = -0.5. At an integer scale s each output pixel is one of s * s phases between the same
5 x 5 input pixels, so upscaling is a fixed depthwise convolution followed by a pixel shuffle:

    (N, C, H, W) ─ border mirrored by 2 ─ conv 5x5, C -> C s s ─ shuffle s ─ (N, C, sH, sW)

Every runtime supports these, but rarely MATLAB's kernel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsrc.runtime.picture.bicubic import resize_matrix

REACH = 2
"""LR pixels on each side that an output pixel depends on."""


class BicubicUpscale(nn.Module):
    """`vsrc.runtime.picture.bicubic.upscale`, before its rounding to 8 bit.

    Args:
        channels: Channels of the images.
        scale: Integer factor; 1 is the identity.
    """

    def __init__(self, channels: int, scale: int) -> None:
        super().__init__()
        self.channels, self.scale = channels, scale
        kernels = _phase_kernels(scale).repeat(channels, 1, 1, 1)
        self.register_buffer("kernels", kernels, persistent=False)

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale `(N, C, H, W)` to `(N, C, sH, sW)`, any value range, not clipped."""
        if self.scale == 1:
            return lr
        mirrored = _mirror(_mirror(lr, -1), -2)
        phases = F.conv2d(mirrored, self.get_buffer("kernels"), groups=self.channels)
        return F.pixel_shuffle(phases, self.scale)


def _phase_kernels(scale: int) -> Tensor:
    """`(s * s, 1, 5, 5)`: output pixel (dy, dx) of a cell, row by row, from the 5 x 5 around it."""
    size = 2 * REACH + 1
    inner = slice(scale * REACH, scale * (REACH + 1))  # the centre pixel: no border within reach
    taps = torch.from_numpy(resize_matrix(size, numerator=scale, denominator=1)[inner].copy())
    kernels = torch.einsum("yi,xj->yxij", taps, taps)
    return kernels.reshape(scale * scale, 1, size, size).to(torch.get_default_dtype())


def _mirror(picture: Tensor, axis: int) -> Tensor:
    """Pad an axis by two pixels at each end: symmetric reflection, border pixel repeated."""
    size = picture.shape[axis]
    order = [1, 0] if size > 1 else [0, 0]
    first = [picture.narrow(axis, index, 1) for index in order]
    last = [picture.narrow(axis, size - 1 - index, 1) for index in reversed(order)]
    return torch.cat([*first, picture, *last], dim=axis)
