"""ETDS: equivalent transformation and dual stream network, as deployed (Chao et al., CVPR 2023).

    lr ─ conv ─ ReLU ─ [conv ─ ReLU] M times ─ conv ─ ReLU ─ 1x1 ─ ReLU ─ shuffle ─ sr

Training has two streams, one of which carries the enlarged picture; the equivalent transformation
of the paper folds both into the plain chain above, and that is what the official files hold. So
there is no skip connection: the picture passes through the ReLUs. At scale 3 the last convolutions
have 28 channels, of which the last is dropped.
"""

from __future__ import annotations

from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsrc.compressor.networks.layers.counting import gmac_per_lr_pixel, parameter_count
from vsrc.runtime.spec import Argument, NetworkSpec


class Etds(nn.Module):
    """The network in the diagram above; the default is the paper's M4C32.

    Args:
        scale: SR/LR side ratio.
        features: Channels, the paper's C.
        blocks: Convolutions between the first and the last, the paper's M.
    """

    def __init__(self, *, scale: int = 4, features: int = 32, blocks: int = 4) -> None:
        super().__init__()
        self.arguments: dict[str, Argument] = {
            "scale": scale,
            "features": features,
            "blocks": blocks,
        }
        self.scale = scale
        given = output_channels(scale)
        self.conv_first = nn.Conv2d(3, features, 3, padding=1)
        body = [nn.Conv2d(features, features, 3, padding=1) for _ in range(blocks)]
        self.backbone_convs: nn.ModuleList = nn.ModuleList(body)
        self.conv_last = nn.Conv2d(features, given, 3, padding=1)
        self.conv_clip = nn.Conv2d(given, given, 1)

    @cached_property
    def spec(self) -> NetworkSpec:
        """Scale, window, halo and taps of the network."""
        blocks = len(self.backbone_convs)
        return NetworkSpec(
            name="etds",
            arguments=self.arguments,
            scale=self.scale,
            window=1,
            halo=blocks + 2,
            parameters=parameter_count(self),
            gmac_per_lr_pixel=gmac_per_lr_pixel(self),
            stages=("conv_first", *(f"backbone_convs.{index}" for index in range(blocks))),
        )

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale an image.

        Args:
            lr: `(N, 3, H, W)` float32 RGB in [0, 1].

        Returns:
            `(N, 3, sH, sW)`, not negative.
        """
        x = lr
        for conv in (self.conv_first, *self.backbone_convs, self.conv_last, self.conv_clip):
            x = torch.relu(conv(x))
        return F.pixel_shuffle(x[:, : 3 * self.scale**2], self.scale)


def output_channels(scale: int) -> int:
    """Channels of the last convolutions: those of the shuffle, up to a multiple of 4."""
    return -(-3 * scale**2 // 4) * 4
