"""IMDN: information multi-distillation network (Hui et al., ACM MM 2019).

    lr ─ head ─┬─ block 1 ─ block 2 ─ ... ─ block 6 ─┐
               │     └─────────┴──── concat ─────────┴─ 1x1 ─ conv ─ + ─ conv ─ shuffle ─ sr
               └─────────────────────────────────────────────────────┘

A block (figure 3) keeps a quarter of the channels after each convolution and refines the rest:

    x ─ conv ─┬─ 16 ──────────────────────────────────┐
              └─ 48 ─ conv ─┬─ 16 ────────────────────┤
                            └─ 48 ─ conv ─┬─ 16 ──────┤
                                          └─ 48 ─ conv ─ 16 ─ concat ─ attention ─ 1x1 ─ + ─
      └────────────────────────────────────────────────────────────────────────────────┘

`Imdn` is the network for one scale; `ImdnAs` the one for any scale (section 3.3), which works at
the output size between two strided convolutions and a shuffle. Both load the official files.
"""

from __future__ import annotations

import math
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsrc.compressor.networks.checkpoints.renaming import rename
from vsrc.compressor.networks.layers.bicubic import REACH, BicubicUpscale
from vsrc.compressor.networks.layers.blocks import crop_to, pad_to_multiple
from vsrc.compressor.networks.layers.counting import gmac_per_lr_pixel, parameter_count
from vsrc.runtime.spec import Argument, NetworkSpec

SLOPE = 0.05
"""Negative slope of every leaky ReLU."""

_OFFICIAL = [
    (r"fea_conv\.(.*)", r"head.\1"),
    *((rf"IMDB{index + 1}\.(.*)", rf"trunk.blocks.{index}.\1") for index in range(32)),
    (r"c\.0\.(.*)", r"trunk.fusion.0.\1"),
    (r"LR_conv\.(.*)", r"trunk.conv.\1"),
    (r"upsampler\.(.*)", r"trunk.upsampler.\1"),
]


class ContrastAttention(nn.Module):
    """Contrast-aware channel attention (section 3.2): weigh channels by deviation plus mean.

    Args:
        features: Channels in and out.
        reduction: Ratio of the channels to those in between.
    """

    def __init__(self, features: int, *, reduction: int = 16) -> None:
        super().__init__()
        squeezed = max(features // reduction, 1)
        self.conv_du = nn.Sequential(
            nn.Conv2d(features, squeezed, 1),
            nn.ReLU(),
            nn.Conv2d(squeezed, features, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to the same shape."""
        mean = x.mean((2, 3), keepdim=True)
        variance = (x - mean).square().mean((2, 3), keepdim=True)
        # The square root has no gradient at 0, its value on a flat image.
        weight: Tensor = self.conv_du(variance.clamp_min(1e-12).sqrt() + mean)
        return x * weight


class DistillationBlock(nn.Module):
    """IMDB, the block in the diagram above.

    Args:
        features: Channels in and out; a quarter is kept at each step.
        attention: Weigh the channels before they are mixed.
    """

    def __init__(self, features: int, *, attention: bool = True) -> None:
        super().__init__()
        kept = features // 4
        rest = features - kept
        self.kept = kept
        self.c1 = nn.Conv2d(features, features, 3, padding=1)
        self.c2 = nn.Conv2d(rest, features, 3, padding=1)
        self.c3 = nn.Conv2d(rest, features, 3, padding=1)
        self.c4 = nn.Conv2d(rest, kept, 3, padding=1)
        self.c5 = nn.Conv2d(4 * kept, features, 1)
        self.cca: nn.Module = ContrastAttention(4 * kept) if attention else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to the same shape."""
        distilled, rest = [], x
        for conv in (self.c1, self.c2, self.c3):
            y = _lrelu(conv(rest))
            distilled.append(y[:, : self.kept])
            rest = y[:, self.kept :]
        distilled.append(self.c4(rest))  # the one without an activation
        mixed: Tensor = self.c5(self.cca(torch.cat(distilled, dim=1)))
        return x + mixed


class Trunk(nn.Module):
    """Part that follows the head in both networks.

    Args:
        features: Channels of the head's output.
        blocks: Distillation blocks.
        scale: Factor of the pixel shuffle at the end.
    """

    def __init__(self, features: int, *, blocks: int, scale: int) -> None:
        super().__init__()
        self.blocks: nn.ModuleList = nn.ModuleList(
            DistillationBlock(features) for _ in range(blocks)
        )
        self.fusion = nn.Sequential(nn.Conv2d(blocks * features, features, 1), nn.LeakyReLU(SLOPE))
        self.conv = nn.Conv2d(features, features, 3, padding=1)
        self.deep = nn.Identity()  # no weights: a hook sees the feature after the long skip here
        self.upsampler = nn.Sequential(
            nn.Conv2d(features, 3 * scale * scale, 3, padding=1), nn.PixelShuffle(scale)
        )

    @property
    def stages(self) -> tuple[str, ...]:
        """Module paths, by depth, in a network with parts `head` and `trunk`."""
        blocks = (f"trunk.blocks.{index}" for index in range(len(self.blocks)))
        return ("head", *blocks, "trunk.deep")

    @property
    def reach(self) -> int:
        """Receptive field on one side, pixels of the features.

        The attention pools over the whole image, with little weight on any one place.
        """
        return 4 * len(self.blocks) + 2

    def forward(self, shallow: Tensor) -> Tensor:
        """`(N, features, h, w)` to `(N, 3, scale * h, scale * w)`."""
        x, outputs = shallow, []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        fused = self.conv(self.fusion(torch.cat(outputs, dim=1)))
        sr: Tensor = self.upsampler(self.deep(fused + shallow))
        return sr


class TrunkNetwork(nn.Module):
    """A head and the trunk; a base class, so that both are found as `head` and `trunk`.

    Args:
        head: Its output is what the trunk takes.
        scale: SR/LR side ratio.
        features: Channels.
        blocks: Distillation blocks.
        shuffle: Factor of the pixel shuffle at the end.
    """

    def __init__(
        self, head: nn.Module, *, scale: int, features: int, blocks: int, shuffle: int
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Argument] = {
            "scale": scale,
            "features": features,
            "blocks": blocks,
        }
        self.scale = scale
        self.head = head
        self.trunk = Trunk(features, blocks=blocks, scale=shuffle)

    def describe(self, name: str, *, halo: int, size_multiple: int = 1) -> NetworkSpec:
        """Build the spec from the values that depend on the head."""
        return NetworkSpec(
            name=name,
            arguments=self.arguments,
            scale=self.scale,
            window=1,
            halo=halo,
            halo_is_exact=False,
            parameters=parameter_count(self),
            gmac_per_lr_pixel=gmac_per_lr_pixel(self),
            size_multiple=size_multiple,
            stages=self.trunk.stages,
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
        sr: Tensor = self.trunk(self.head(lr))
        return sr


class Imdn(TrunkNetwork):
    """IMDN for one scale: 694k, 703k and 715k parameters at x2, x3 and x4.

    Args:
        scale: SR/LR side ratio.
        features: Channels.
        blocks: Distillation blocks.
    """

    def __init__(self, *, scale: int = 4, features: int = 64, blocks: int = 6) -> None:
        head = nn.Conv2d(3, features, 3, padding=1)
        super().__init__(head, scale=scale, features=features, blocks=blocks, shuffle=scale)

    @cached_property
    def spec(self) -> NetworkSpec:
        """Scale, window, halo and taps of the network."""
        return self.describe("imdn", halo=1 + self.trunk.reach)


class ImdnAs(TrunkNetwork):
    """IMDN_AS: one set of weights for any scale.

    The image is upscaled bicubically first; two strided convolutions bring the features down to a
    quarter of that and the shuffle brings them back.

    Args:
        scale: SR/LR side ratio; 1 for images that were upscaled before.
        features: Channels.
        blocks: Distillation blocks.
    """

    def __init__(self, *, scale: int = 4, features: int = 64, blocks: int = 6) -> None:
        head = nn.Sequential(
            nn.Conv2d(3, features, 3, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(features, features, 3, stride=2, padding=1),
        )
        super().__init__(head, scale=scale, features=features, blocks=blocks, shuffle=4)
        self.enlarge = BicubicUpscale(3, scale)

    @cached_property
    def spec(self) -> NetworkSpec:
        """Scale, window, halo and taps of the network."""
        reach_at_output = 4 * self.trunk.reach + 3 + 3  # head and shuffle, then 4 pixels a feature
        return self.describe(
            "imdn-as",
            halo=math.ceil(reach_at_output / self.scale) + REACH,
            size_multiple=4 // math.gcd(4, self.scale),
        )

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale an image.

        Args:
            lr: `(N, 3, H, W)` float32 RGB in [0, 1].

        Returns:
            `(N, 3, sH, sW)`, not clipped.
        """
        upscaled = self.enlarge(lr)
        height, width = upscaled.shape[-2:]
        sr = super().forward(pad_to_multiple(upscaled, 4))
        return crop_to(sr, height=height, width=width)


def _lrelu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE)
