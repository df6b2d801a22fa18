"""Modulated deformable convolution, written with one grid sample and one 1x1 convolution.

    DCNv2 (Zhu et al. 2019, section 3.1):  y(p) = sum_k  w_k * x(p + p_k + offset_k(p)) * mask_k(p)

           x (C, H, W)            the K taps of a group lie          columns (C * K, Ho, Wo)
        ┌──────────────┐          one below the other in             ┌──────────┐
        │ group 0      │  ─────>  one grid (K * Ho, Wo):   ─────>    │ c0 tap 0 │   1x1
        │ group 1      │          groups lie on the batch           │ c0 tap 1 │  ─────> y
        │ ...          │          axis, so that all of it            │ ...      │
        └──────────────┘          is a single GridSample             └──────────┘

No operator beyond ONNX opset 16 is needed: GridSample (4-D, bilinear, zeros) and Conv. Sampling
positions are normalised to [-1, 1]; in half precision the step between two of them would be 0.3
pixels at a width of 1280, so positions and GridSample are float32 also where all else is half.

Layout, as in torchvision, mmcv and the official EDVR: offsets are ordered (group, tap, (dy, dx)),
masks (group, tap), taps row by row. Outside the image is zero, and a sample fades over the last
half-covered pixel.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def deform_conv2d(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> Tensor:
    """Modulated deformable convolution.

    The number of deformable groups G is read from the channels of `mask`.

    Args:
        x: `(N, C, H, W)`.
        offset: `(N, G * K * 2, Ho, Wo)`, pixels of x, (dy, dx).
        mask: `(N, G * K, Ho, Wo)`.
        weight: `(C', C, kh, kw)` with kh * kw = K.
        bias: `(C')`.
        stride: Step of the output grid, pixels of x.
        padding: Zeros around x.
        dilation: Distance of the taps, pixels of x.

    Returns:
        `(N, C', Ho, Wo)`.
    """
    kernel = (weight.shape[2], weight.shape[3])
    columns = deform_columns(
        x, offset, mask, kernel=kernel, stride=stride, padding=padding, dilation=dilation
    )
    return F.conv2d(columns, weight.reshape(weight.shape[0], -1, 1, 1), bias)


def deform_columns(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    *,
    kernel: tuple[int, int],
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> Tensor:
    """Sample the taps of a deformable convolution, before any weight is applied.

    Arguments as in `deform_conv2d`.

    Returns:
        `(N, C * K, Ho, Wo)`, channel before tap.
    """
    taps = kernel[0] * kernel[1]
    batch, channels, height, width = x.shape
    groups = mask.shape[1] // taps
    _check_groups(channels, offset.shape[1], mask.shape[1], taps)
    rows, columns = offset.shape[2:]
    # (N * G, K, 2, Ho, Wo): from here on each group is an image of its own.
    precise = torch.promote_types(offset.dtype, torch.float32)
    shift = offset.to(precise).reshape(batch * groups, taps, 2, rows, columns)
    y0, x0 = _tap_positions(rows, columns, kernel, stride, padding, dilation, like=shift)
    # align_corners=False: -1 and 1 are the outer edges of the border pixels.
    grid_y = (shift[:, :, 0] + y0) * (2 / height) + (1 / height - 1)
    grid_x = (shift[:, :, 1] + x0) * (2 / width) + (1 / width - 1)
    grid = torch.stack((grid_x, grid_y), dim=-1).reshape(batch * groups, taps * rows, columns, 2)
    pictures = x.to(precise).reshape(batch * groups, channels // groups, height, width)
    sampled = F.grid_sample(pictures, grid, "bilinear", "zeros", align_corners=False)
    sampled = sampled.to(x.dtype) * mask.reshape(batch * groups, 1, taps * rows, columns)
    return sampled.reshape(batch, channels * taps, rows, columns)


def _tap_positions(
    rows: int,
    columns: int,
    kernel: tuple[int, int],
    stride: int,
    padding: int,
    dilation: int,
    *,
    like: Tensor,
) -> tuple[Tensor, Tensor]:
    """Tap positions without offsets: y `(K, Ho, 1)` and x `(K, 1, Wo)`, pixels of x."""
    down, right, tap_y, tap_x = (
        # Counted in integers: TensorRT 8 takes a Range of floats only when its ends are constants.
        torch.arange(count, device=like.device).to(like.dtype)
        for count in (rows, columns, *kernel)
    )
    tap_y = tap_y.repeat_interleave(kernel[1]) * dilation - padding
    tap_x = tap_x.repeat(kernel[0]) * dilation - padding
    return (
        tap_y.reshape(-1, 1, 1) + (down * stride).reshape(1, -1, 1),
        tap_x.reshape(-1, 1, 1) + (right * stride).reshape(1, 1, -1),
    )


def _check_groups(channels: int, offsets: int, masks: int, taps: int) -> None:
    groups = masks // taps
    if groups < 1 or masks != groups * taps or offsets != 2 * masks or channels % groups:
        raise ValueError(
            f"{offsets} offset and {masks} mask channels do not fit {taps} taps over {channels} "
            "channels: expected 2 * groups * taps and groups * taps, with groups dividing channels"
        )


class ModulatedDeformConv(nn.Module):
    """A 3x3 deformable convolution that computes offsets and masks from a second feature map.

    State-dict names are those of the official EDVR (`DCNv2Pack`). Initially every offset is 0 and
    every mask 1/2.

    Args:
        features: Channels of both inputs and of the output.
        groups: Number of deformable groups: channels of a group share offsets.
    """

    def __init__(self, features: int, *, groups: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(features, features, 3, 3))
        self.bias = nn.Parameter(torch.zeros(features))
        self.conv_offset = nn.Conv2d(features, groups * 3 * 9, 3, padding=1)
        bound = 1 / math.sqrt(features * 9)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.zeros_(self.conv_offset.weight)
        assert self.conv_offset.bias is not None
        nn.init.zeros_(self.conv_offset.bias)

    def forward(self, x: Tensor, motion: Tensor) -> Tensor:
        """Sample `x` at offsets computed from `motion`; both and the result are `(N, C, H, W)`."""
        offset, mask = offsets_and_mask(self.conv_offset(motion))
        return deform_conv2d(x, offset, mask, self.weight, self.bias, padding=1)


def offsets_and_mask(raw: Tensor) -> tuple[Tensor, Tensor]:
    """Split `(N, 3 * G * K, H, W)`: the first two thirds are offsets, the last gives the mask."""
    masks = raw.shape[1] // 3
    return raw[:, : 2 * masks], torch.sigmoid(raw[:, 2 * masks :])
