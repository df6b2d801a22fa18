"""Warp an image by optical flow."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def warp(picture: Tensor, flow: Tensor) -> Tensor:
    """Backward warping: out(p) = picture(p + flow(p)).

    Bilinear; beyond the border the nearest border pixel is used. Positions are normalised to
    [-1, 1] for one 4-D GridSample: in half precision they would be off by 0.3 pixels at a width of
    1280, so they and the sampling are at least float32.

    Args:
        picture: `(N, C, H, W)`.
        flow: `(N, 2, H, W)`, pixels, (dx, dy).
    """
    height, width = picture.shape[2:]
    flow = flow.to(torch.promote_types(flow.dtype, torch.float32))
    x = torch.arange(width, device=flow.device, dtype=flow.dtype)
    y = torch.arange(height, device=flow.device, dtype=flow.dtype)
    # align_corners=False: -1 and 1 are the outer edges of the border pixels.
    grid_x = (x + flow[:, 0]) * (2 / width) + (1 / width - 1)
    grid_y = (y[:, None] + flow[:, 1]) * (2 / height) + (1 / height - 1)
    grid = torch.stack((grid_x, grid_y), dim=-1)
    seen = F.grid_sample(picture.to(grid.dtype), grid, "bilinear", "border", align_corners=False)
    return seen.to(picture.dtype)
