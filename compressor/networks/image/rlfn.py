"""RLFN: residual local feature network (Kong et al., CVPR workshops 2022, figures 2 and 4).

    lr ─ head ─┬─ block 1 ─ ... ─ block 6 ─ conv ─ + ─ conv ─ shuffle ─ sr
               └───────────────────────────────────┘

    block: x ─ [conv ─ leaky ReLU] three times ─ + x ─ 1x1 ─ attention ─

The attention (ESA, Liu et al., CVPR 2020) works on features downscaled by six and weighs every
pixel of every channel. The official weights expect 0..255, which is handled here: input and
output are in [0, 1].
"""

from __future__ import annotations

from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsrc.compressor.networks.checkpoints.renaming import rename
from vsrc.compressor.networks.layers.counting import gmac_per_lr_pixel, parameter_count
from vsrc.runtime.spec import Argument, NetworkSpec

SLOPE = 0.05
"""Negative slope of every leaky ReLU."""

_POOL, _STRIDE = 7, 3

SMALLEST = 2 * (_POOL - 1) + 3
"""Rows and columns that the pooling inside the attention needs."""

_OFFICIAL = [
    (r"conv_1\.(.*)", r"head.\1"),
    *((rf"block_{index + 1}\.(.*)", rf"body.{index}.\1") for index in range(32)),
    (r"conv_2\.(.*)", r"conv.\1"),
]


class SpatialAttention(nn.Module):
    """ESA: weigh the pixels of each channel by their surroundings.

    Args:
        features: Channels in and out.
        squeezed: Channels in between.
    """

    def __init__(self, features: int, *, squeezed: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, squeezed, 1)
        self.conv_f = nn.Conv2d(squeezed, squeezed, 1)
        self.conv2 = nn.Conv2d(squeezed, squeezed, 3, stride=2)
        self.conv3 = nn.Conv2d(squeezed, squeezed, 3, padding=1)
        self.conv4 = nn.Conv2d(squeezed, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to the same shape; on export H and W are at least `SMALLEST`."""
        narrow = self.conv1(x)
        pooled = F.max_pool2d(self.conv2(_large_enough(narrow)), _POOL, stride=_STRIDE)
        around = F.interpolate(
            self.conv3(pooled), size=x.shape[2:], mode="bilinear", align_corners=False
        )
        return x * torch.sigmoid(self.conv4(around + self.conv_f(narrow)))


def _large_enough(x: Tensor) -> Tensor:
    """Repeat the last row and column of a tensor that is too small to be pooled."""
    if torch.compiler.is_exporting():
        return x
    bottom, right = (max(0, SMALLEST - size) for size in x.shape[2:])
    return F.pad(x, (0, right, 0, bottom), mode="replicate") if bottom or right else x


class LocalFeatureBlock(nn.Module):
    """RLFB, the block in the diagram above.

    Args:
        features: Channels in and out.
        squeezed: Channels inside the attention.
    """

    def __init__(self, features: int, *, squeezed: int) -> None:
        super().__init__()
        self.c1_r = nn.Conv2d(features, features, 3, padding=1)
        self.c2_r = nn.Conv2d(features, features, 3, padding=1)
        self.c3_r = nn.Conv2d(features, features, 3, padding=1)
        self.c5 = nn.Conv2d(features, features, 1)
        self.esa = SpatialAttention(features, squeezed=squeezed)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to the same shape."""
        refined = x
        for conv in (self.c1_r, self.c2_r, self.c3_r):
            refined = F.leaky_relu(conv(refined), SLOPE)
        weighed: Tensor = self.esa(self.c5(refined + x))
        return weighed


class Rlfn(nn.Module):
    """RLFN: 543,740 parameters at x4, 526,856 at x2.

    Args:
        scale: SR/LR side ratio.
        features: Channels.
        blocks: Blocks of the body.
        squeezed: Channels inside the attention.
    """

    def __init__(
        self, *, scale: int = 4, features: int = 52, blocks: int = 6, squeezed: int = 16
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Argument] = {
            "scale": scale,
            "features": features,
            "blocks": blocks,
            "squeezed": squeezed,
        }
        self.scale = scale
        self.head = nn.Conv2d(3, features, 3, padding=1)
        self.body: nn.ModuleList = nn.ModuleList(
            LocalFeatureBlock(features, squeezed=squeezed) for _ in range(blocks)
        )
        self.conv = nn.Conv2d(features, features, 3, padding=1)
        self.deep = nn.Identity()  # no weights: a hook sees the feature after the long skip here
        self.upsampler = nn.Sequential(
            nn.Conv2d(features, 3 * scale * scale, 3, padding=1), nn.PixelShuffle(scale)
        )

    @cached_property
    def spec(self) -> NetworkSpec:
        """Scale, window, halo and taps of the network."""
        blocks = len(self.body)
        return NetworkSpec(
            name="rlfn",
            arguments=self.arguments,
            scale=self.scale,
            window=1,
            # The attention reaches further, with little weight on any one place.
            halo=3 * blocks + 3,
            halo_is_exact=False,
            parameters=parameter_count(self),
            gmac_per_lr_pixel=gmac_per_lr_pixel(self),
            stages=("head", *(f"body.{index}" for index in range(blocks)), "deep"),
        )

    def adapt_checkpoint(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Rename tensors from the official release's layout to ours."""
        return rename(state, _OFFICIAL)

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale an image.

        Args:
            lr: `(N, 3, H, W)` float32 RGB in [0, 1].

        Returns:
            `(N, 3, sH, sW)`, not clipped.
        """
        shallow = x = self.head(lr * 255)
        for block in self.body:
            x = block(x)
        sr: Tensor = self.upsampler(self.deep(self.conv(x) + shallow))
        return sr / 255
