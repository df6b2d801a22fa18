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

from vsrc.compressor.networks.counting import gmac_per_lr_pixel, parameter_count
from vsrc.compressor.networks.enlarge import REACH, Enlarge
from vsrc.compressor.networks.layers import crop_to, pad_to_multiple
from vsrc.compressor.networks.renaming import rename
from vsrc.runtime.spec import Argument, NetworkSpec

SLOPE = 0.05
"""Of every leaky ReLU."""

CROP_OVERLAP = 32
"""How far each quarter reaches over the middle in `restore_in_quarters`, pixels."""

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
        reduction: How many times fewer channels there are in between.
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
        """`(N, C, H, W)` to the same."""
        mean = x.mean((2, 3), keepdim=True)
        variance = (x - mean).square().mean((2, 3), keepdim=True)
        # The square root has no gradient at 0, where a flat picture would put it.
        weight: Tensor = self.conv_du(variance.clamp_min(1e-12).sqrt() + mean)
        return x * weight


class DistillationBlock(nn.Module):
    """IMDB, the block of the picture above.

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
        """`(N, C, H, W)` to the same."""
        distilled, rest = [], x
        for conv in (self.c1, self.c2, self.c3):
            y = _lrelu(conv(rest))
            distilled.append(y[:, : self.kept])
            rest = y[:, self.kept :]
        distilled.append(self.c4(rest))  # the one without an activation
        mixed: Tensor = self.c5(self.cca(torch.cat(distilled, dim=1)))
        return x + mixed


class Trunk(nn.Module):
    """What follows the head in both networks.

    Args:
        features: Channels of the head's output.
        blocks: Distillation blocks.
        scale: Of the shuffle at the end.
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
        """Module paths in a network that calls its parts `head` and `trunk`, by depth."""
        blocks = (f"trunk.blocks.{index}" for index in range(len(self.blocks)))
        return ("head", *blocks, "trunk.deep")

    @property
    def reach(self) -> int:
        """Receptive field on one side, pixels of the features.

        The attention pools over the whole picture, with little weight on any one place.
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


class Imdn(nn.Module):
    """IMDN for one scale: 694k, 703k and 715k parameters at x2, x3 and x4.

    Args:
        scale: SR/LR side ratio.
        features: Channels.
        blocks: Distillation blocks.
    """

    def __init__(self, *, scale: int = 4, features: int = 64, blocks: int = 6) -> None:
        super().__init__()
        self.arguments: dict[str, Argument] = {
            "scale": scale,
            "features": features,
            "blocks": blocks,
        }
        self.scale = scale
        self.head = nn.Conv2d(3, features, 3, padding=1)
        self.trunk = Trunk(features, blocks=blocks, scale=scale)

    @cached_property
    def spec(self) -> NetworkSpec:
        """What the outside must know to feed it."""
        return NetworkSpec(
            name="imdn",
            arguments=self.arguments,
            scale=self.scale,
            window=1,
            halo=1 + self.trunk.reach,
            halo_is_exact=False,
            parameters=parameter_count(self),
            gmac_per_lr_pixel=gmac_per_lr_pixel(self),
            stages=self.trunk.stages,
        )

    def adapt_checkpoint(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Tensors by our names, from those of the official release."""
        return rename(state, _OFFICIAL)

    def forward(self, lr: Tensor) -> Tensor:
        """Restore a picture.

        Args:
            lr: `(N, 3, H, W)` float32 RGB in [0, 1].

        Returns:
            `(N, 3, sH, sW)`, not clipped.
        """
        sr: Tensor = self.trunk(self.head(lr))
        return sr


class ImdnAs(nn.Module):
    """IMDN_AS: one set of weights for any scale.

    The picture is enlarged bicubically first; two strided convolutions bring the features down to a
    quarter of that and the shuffle brings them back.

    Args:
        scale: SR/LR side ratio; 1 for pictures that were enlarged before.
        features: Channels.
        blocks: Distillation blocks.
    """

    def __init__(self, *, scale: int = 4, features: int = 64, blocks: int = 6) -> None:
        super().__init__()
        self.arguments: dict[str, Argument] = {
            "scale": scale,
            "features": features,
            "blocks": blocks,
        }
        self.scale = scale
        self.enlarge = Enlarge(3, scale)
        self.head = nn.Sequential(
            nn.Conv2d(3, features, 3, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(features, features, 3, stride=2, padding=1),
        )
        self.trunk = Trunk(features, blocks=blocks, scale=4)

    @cached_property
    def spec(self) -> NetworkSpec:
        """What the outside must know to feed it."""
        reach_at_output = 4 * self.trunk.reach + 3 + 3  # head and shuffle, then 4 pixels a feature
        return NetworkSpec(
            name="imdn-as",
            arguments=self.arguments,
            scale=self.scale,
            window=1,
            halo=math.ceil(reach_at_output / self.scale) + REACH,
            halo_is_exact=False,
            parameters=parameter_count(self),
            gmac_per_lr_pixel=gmac_per_lr_pixel(self),
            size_multiple=4 // math.gcd(4, self.scale),
            stages=self.trunk.stages,
        )

    def adapt_checkpoint(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Tensors by our names, from those of the official release."""
        return rename(state, _OFFICIAL)

    def forward(self, lr: Tensor) -> Tensor:
        """Restore a picture.

        Args:
            lr: `(N, 3, H, W)` float32 RGB in [0, 1].

        Returns:
            `(N, 3, sH, sW)`, not clipped.
        """
        enlarged = self.enlarge(lr)
        height, width = enlarged.shape[-2:]
        sr: Tensor = self.trunk(self.head(pad_to_multiple(enlarged, 4)))
        return crop_to(sr, height=height, width=width)

    def restore_in_quarters(self, lr: Tensor) -> Tensor:
        """The paper's adaptive cropping (figure 5): no padding, whatever the size.

        Four overlapping corners, each a multiple of 4 on both sides, run as one batch; of each the
        part up to the middle is kept. Channel attention then sees a quarter of the picture, so the
        result is near that of `forward` but not equal to it.

        Args:
            lr: `(N, 3, H, W)` float32 RGB in [0, 1]; at least 4 pixels a side when enlarged.

        Returns:
            `(N, 3, sH, sW)`, not clipped.
        """
        enlarged = self.enlarge(lr)
        height, width = enlarged.shape[-2:]
        rows, columns = _corner(height), _corner(width)
        corners = [
            enlarged[..., y : y + rows, x : x + columns]
            for y in (0, height - rows)
            for x in (0, width - columns)
        ]
        restored = self.trunk(self.head(torch.cat(corners)))
        top_left, top_right, low_left, low_right = restored.chunk(4)
        down, right = height // 2, width // 2
        below, beyond = rows - (height - down), columns - (width - right)
        top = torch.cat((top_left[..., :down, :right], top_right[..., :down, beyond:]), dim=-1)
        low = torch.cat((low_left[..., below:, :right], low_right[..., below:, beyond:]), dim=-1)
        return torch.cat((top, low), dim=-2)


def _corner(size: int) -> int:
    """Side of a corner: half of the picture and the overlap, floored to a multiple of 4."""
    if size < 4:
        raise ValueError(f"{size} pixels are too few to crop: at least 4")
    side = min(size // 2 + CROP_OVERLAP, size)
    return side - side % 4


def _lrelu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE)
