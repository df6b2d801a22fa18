"""The two small IMDNs that won real-time challenges (official repository of IMDN).

IMDN_RTC: 12 channels, five blocks without attention, for 2x on a phone:

    lr ─ head ─┬─ block 1 ─ ... ─ block 5 ─ 1x1 ─ + ─ conv ─ shuffle ─ sr
               └──────────────────────────────────┘

IMDN_RTE: 20 channels at half the resolution, six blocks of six steps, ReLU, almost no bias:

    lr ─ conv ─ conv stride 2 ─┬─ block 1 ─ ... ─ block 6 ─ 1x1 ─ + ─ conv ─ shuffle 4 ─ sr
                               └──────────────────────────────────┘
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from vsrc.compressor.networks.checkpoints.renaming import rename
from vsrc.compressor.networks.image.imdn import DistillationBlock
from vsrc.compressor.networks.layers.blocks import crop_to, pad_to_multiple
from vsrc.compressor.networks.layers.counting import gmac_per_lr_pixel, parameter_count
from vsrc.runtime.spec import Argument, NetworkSpec


class FastImdn(nn.Module):
    """Base class of both networks, so that tensors have the official names without a prefix.

    Args:
        head: Its output is what the blocks take.
        blocks: Distillation blocks, in order.
        conv: The 1x1 convolution after them.
        scale: SR/LR side ratio.
        features: Channels.
        shuffle: Factor of the pixel shuffle at the end.
    """

    def __init__(
        self,
        head: nn.Module,
        blocks: Sequence[nn.Module],
        conv: nn.Conv2d,
        *,
        scale: int,
        features: int,
        shuffle: int,
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Argument] = {
            "scale": scale,
            "features": features,
            "blocks": len(blocks),
        }
        self.scale = scale
        self.head = head
        self.blocks: nn.ModuleList = nn.ModuleList(blocks)
        self.conv = conv
        self.deep = nn.Identity()  # no weights: a hook sees the feature after the long skip here
        self.upsampler = nn.Sequential(
            nn.Conv2d(features, 3 * shuffle**2, 3, padding=1), nn.PixelShuffle(shuffle)
        )

    def describe(
        self, name: str, *, halo: int, halo_is_exact: bool = True, size_multiple: int = 1
    ) -> NetworkSpec:
        """Build the spec from the values that depend on head and blocks."""
        return NetworkSpec(
            name=name,
            arguments=self.arguments,
            scale=self.scale,
            window=1,
            halo=halo,
            halo_is_exact=halo_is_exact,
            parameters=parameter_count(self),
            gmac_per_lr_pixel=gmac_per_lr_pixel(self),
            size_multiple=size_multiple,
            stages=("head", *(f"blocks.{index}" for index in range(len(self.blocks))), "deep"),
        )

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale an image.

        Args:
            lr: `(N, 3, H, W)` float32 RGB in [0, 1].

        Returns:
            `(N, 3, sH, sW)`, not clipped.
        """
        shallow = x = self.head(lr)
        for block in self.blocks:
            x = block(x)
        sr: Tensor = self.upsampler(self.deep(self.conv(x) + shallow))
        return sr


class ImdnRtc(FastImdn):
    """IMDN_RTC; 20,190 parameters as released (x2).

    Args:
        scale: SR/LR side ratio.
        features: Channels.
        blocks: Distillation blocks.
    """

    def __init__(self, *, scale: int = 2, features: int = 12, blocks: int = 5) -> None:
        super().__init__(
            nn.Conv2d(3, features, 3, padding=1),
            [DistillationBlock(features, attention=False) for _ in range(blocks)],
            nn.Conv2d(features, features, 1),
            scale=scale,
            features=features,
            shuffle=scale,
        )

    @cached_property
    def spec(self) -> NetworkSpec:
        """Scale, window, halo and taps of the network."""
        return self.describe("imdn-rtc", halo=1 + 4 * len(self.blocks) + 1)

    def adapt_checkpoint(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Rename tensors from the official release's layout to ours."""
        last = len(self.blocks)
        rules = [
            (r"(?:model\.)?0\.(.*)", r"head.\1"),
            (rf"(?:model\.)?1\.sub\.{last}\.(.*)", r"conv.\1"),
            (r"(?:model\.)?1\.sub\.(\d+)\.(.*)", r"blocks.\1.\2"),
            (r"(?:model\.)?2\.(.*)", r"upsampler.0.\1"),
        ]
        return rename(state, rules)


class LongDistillationBlock(nn.Module):
    """The block of IMDN_RTE: a quarter of the channels is kept at each of six steps.

    20 -> 5 + 15 -> 5 + 15 -> 5 + 15 -> 5 + 10 -> 5 + 5 -> 5, the six kept parts mixed by a 1x1.

    Args:
        features: Channels in and out, a multiple of 4.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        kept = features // 4
        self.kept = kept
        self.c1 = _conv3(features, features)
        self.c2 = _conv3(3 * kept, features)
        self.c3 = _conv3(3 * kept, features)
        self.c4 = _conv3(3 * kept, 3 * kept)
        self.c5 = _conv3(2 * kept, 2 * kept)
        self.c6 = _conv3(kept, kept)
        self.c7 = nn.Conv2d(6 * kept, features, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to the same shape."""
        distilled, rest = [], x
        for conv in (self.c1, self.c2, self.c3, self.c4, self.c5):
            y = torch.relu(conv(rest))
            distilled.append(y[:, : self.kept])
            rest = y[:, self.kept :]
        distilled.append(torch.relu(self.c6(rest)))
        mixed: Tensor = self.c7(torch.cat(distilled, dim=1))
        return x + mixed


class ImdnRte(FastImdn):
    """IMDN_RTE; 89,748 parameters as released (x2). Its values are in 0..255 inside.

    Args:
        scale: SR/LR side ratio.
        features: Channels, a multiple of 4.
        blocks: Distillation blocks.
    """

    def __init__(self, *, scale: int = 2, features: int = 20, blocks: int = 6) -> None:
        head = nn.Sequential(
            nn.Conv2d(3, features, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(features, features, 3, stride=2, padding=1, bias=False),
        )
        super().__init__(
            head,
            [LongDistillationBlock(features) for _ in range(blocks)],
            nn.Conv2d(features, features, 1, bias=False),
            scale=scale,
            features=features,
            shuffle=2 * scale,  # the features are at half the resolution of the image
        )

    @cached_property
    def spec(self) -> NetworkSpec:
        """Scale, window, halo and taps of the network."""
        reach = 2 + 2 * (6 * len(self.blocks) + 1)  # head, then 2 pixels a feature
        return self.describe("imdn-rte", halo=reach, halo_is_exact=False, size_multiple=2)

    def adapt_checkpoint(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Rename tensors from the official release's layout to ours."""
        rules = [
            (r"fea_conv\.(.*)", r"head.\1"),
            *(
                (rf"block{index + 1}\.(.*)", rf"blocks.{index}.\1")
                for index in range(len(self.blocks))
            ),
            (r"LR_conv\.(.*)", r"conv.\1"),
        ]
        return rename(state, rules)

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale an image.

        Args:
            lr: `(N, 3, H, W)` float32 RGB in [0, 1].

        Returns:
            `(N, 3, sH, sW)`, not clipped.
        """
        height, width = lr.shape[-2:]
        sr = super().forward(pad_to_multiple(lr * 255, 2)) / 255
        return crop_to(sr, height=height * self.scale, width=width * self.scale)


def _conv3(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
