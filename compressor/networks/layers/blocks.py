"""Layers shared by several networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def pad_to_multiple(lr: Tensor, multiple: int) -> Tensor:
    """Reflect H and W at the bottom and right until they are multiples.

    While a graph is exported the caller pads (`size_multiple` in the spec), so
    that no shape arithmetic enters the graph: the tensor is returned as it is.

    Args:
        lr: `(..., C, H, W)`.
        multiple: Divisor of H and W of the result.
    """
    if multiple == 1 or torch.compiler.is_exporting():
        return lr
    height, width = lr.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    if not bottom and not right:
        return lr
    rows = _mirror_indices(height, height + bottom, lr.device)
    columns = _mirror_indices(width, width + right, lr.device)
    return lr.index_select(-2, rows).index_select(-1, columns)


def crop_to(sr: Tensor, *, height: int, width: int) -> Tensor:
    """Remove the padding of `pad_to_multiple`: keep the top left `height` by `width` pixels.

    While a graph is exported nothing was added, so no slice enters the graph.

    Args:
        sr: `(..., H, W)`.
        height: Rows to keep.
        width: Columns to keep.
    """
    return sr if torch.compiler.is_exporting() else sr[..., :height, :width]


def _mirror_indices(size: int, padded: int, device: torch.device) -> Tensor:
    """Indices 0..size-1 continued by reflection (without repeating the edge) up to `padded`."""
    period = max(2 * size - 2, 1)
    phase = torch.arange(padded, device=device) % period
    return torch.minimum(phase, period - phase) if size > 1 else torch.zeros_like(phase)


class ResidualBlock(nn.Module):
    """3x3 convolution, ReLU, 3x3 convolution, added to the input; no normalisation.

    Source: EDSR (Lim et al. 2017, figure 2c); EDVR and many others use it unchanged.

    Args:
        features: Channels in and out.
        scale: Factor on the branch before it is added.
    """

    def __init__(self, features: int, *, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to the same shape."""
        branch: Tensor = self.conv2(torch.relu(self.conv1(x)))
        return x + branch * self.scale


class Upsampler(nn.Sequential):
    """Convolution and pixel shuffle: once for scale 3, once for each factor of 2.

    Source: ESPCN (Shi et al. 2016); stacked as in EDSR (Lim et al. 2017, figure 3).

    Args:
        features: Channels in and out.
        scale: 3 or a power of 2.
    """

    def __init__(self, features: int, scale: int) -> None:
        steps = {1: (), 2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}
        if scale not in steps:
            raise ValueError(f"{scale=} is not one of {', '.join(map(str, steps))}")
        layers: list[nn.Module] = []
        for step in steps[scale]:
            layers += [nn.Conv2d(features, features * step**2, 3, padding=1), nn.PixelShuffle(step)]
        super().__init__(*layers)
