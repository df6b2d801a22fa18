"""RCAN: residual channel attention network (Zhang et al., ECCV 2018), figures 2 and 4.

    lr ─ - mean ─ head ─┬─ group 1 ─ ... ─ group G ─ conv ─ + ─ upsampler ─ tail ─ + mean ─ sr
                        └───────────────────────────────────┘
    group:   x ─ block 1 ─ ... ─ block B ─ conv ─ + x
    block:   x ─ conv ─ ReLU ─ conv ─ channel attention ─ + x

The published network has 10 groups of 20 blocks and 64 channels (15.6 M parameters at x4); FAKD's
student has 6 blocks a group. With `width` the network is a student made of the first channels of
its teacher (`channel_split`).

Files by the authors, by FAKD, CSD and BasicSR load as they are.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor, nn

from vsrc.compressor.networks.checkpoints.renaming import rename
from vsrc.compressor.networks.image.edsr import ends_of_edsr, scale_channels
from vsrc.compressor.networks.image.long_skip import LongSkipNetwork
from vsrc.runtime.spec import NetworkSpec


class ChannelAttention(nn.Module):
    """Weigh channels by a function of their means (section 3.3).

    Args:
        features: Channels in and out.
        squeezed: Channels in between.
    """

    def __init__(self, features: int, *, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(features, squeezed, 1)
        self.excite = nn.Conv2d(squeezed, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to the same shape."""
        mean = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.excite(torch.relu(self.squeeze(mean))))


class AttentionBlock(nn.Module):
    """RCAB: a residual block whose branch ends with channel attention.

    Args:
        features: Channels in and out.
        squeezed: Channels inside the attention.
    """

    def __init__(self, features: int, *, squeezed: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)
        self.attention = ChannelAttention(features, squeezed=squeezed)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to the same shape."""
        branch: Tensor = self.attention(self.conv2(torch.relu(self.conv1(x))))
        return x + branch


class ResidualGroup(nn.Module):
    """Blocks and a convolution under one skip.

    Args:
        features: Channels in and out.
        squeezed: Channels inside each attention.
        blocks: Attention blocks.
    """

    def __init__(self, features: int, *, squeezed: int, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(AttentionBlock(features, squeezed=squeezed) for _ in range(blocks))
        )
        self.conv = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to the same shape."""
        branch: Tensor = self.conv(self.blocks(x))
        return x + branch


class Rcan(LongSkipNetwork):
    """The network in the diagram above.

    Args:
        scale: SR/LR side ratio.
        groups: Residual groups.
        blocks: Attention blocks of a group.
        features: Channels at full width.
        reduction: Ratio of the channels to those inside an attention.
        width: Fraction of the channels that is kept.
        rgb_range: Value range of the training data: 255 in the official releases.
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        groups: int = 10,
        blocks: int = 20,
        features: int = 64,
        reduction: int = 16,
        width: float = 1.0,
        rgb_range: float = 255.0,
    ) -> None:
        kept = scale_channels(features, width)
        squeezed = scale_channels(features // reduction, width)
        body = (ResidualGroup(kept, squeezed=squeezed, blocks=blocks) for _ in range(groups))
        super().__init__(
            kept,
            nn.Sequential(*body),
            scale=scale,
            rgb_range=rgb_range,
            arguments={
                "scale": scale,
                "groups": groups,
                "blocks": blocks,
                "features": features,
                "reduction": reduction,
                "width": width,
                "rgb_range": rgb_range,
            },
        )
        self.blocks = blocks
        self.body_conv = nn.Conv2d(kept, kept, 3, padding=1)

    @cached_property
    def spec(self) -> NetworkSpec:
        """Scale, window, halo and taps of the network."""
        reach = len(self.body) * (2 * self.blocks + 1) + 1
        return self.describe("rcan", body_reach=reach, sees_everything=True)

    def deep_features(self, shallow: Tensor) -> Tensor:
        """See `LongSkipNetwork`."""
        deep: Tensor = self.body_conv(self.body(shallow))
        return deep

    def adapt_checkpoint(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Rename tensors from the layouts of the authors, FAKD, CSD or BasicSR to ours."""
        group, block = r"(?:body\.|body_group)(\d+)", r"(?:body|residual_group)\.(\d+)"
        ours = r"body.\1.blocks.\2"
        rules = [
            *ends_of_edsr(),
            (rf"body\.{len(self.body)}\.(\w+)", r"body_conv.\1"),
            (rf"{group}\.body\.{self.blocks}\.(\w+)", r"body.\1.conv.\2"),
            (rf"{group}\.{block}\.(?:body|rcab)\.0\.(\w+)", rf"{ours}.conv1.\3"),
            # Convolutions are number 0 and 2, or 0 and 1 in CSD, where ReLU is not counted.
            (rf"{group}\.{block}\.(?:body|rcab)\.[12]\.(\w+)", rf"{ours}.conv2.\3"),
            (rf"{group}\.{block}\.{_ATTENTION}\.[01]\.(\w+)", rf"{ours}.attention.squeeze.\3"),
            (rf"{group}\.{block}\.{_ATTENTION}\.[23]\.(\w+)", rf"{ours}.attention.excite.\3"),
        ]
        return rename(_csd_attention(self.mean_shift.taken_from(state)), rules)


_ATTENTION = r"(?:body\.3\.conv_du|rcab\.3\.attention)"


def _csd_attention(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename CSD's attention, stored beside the block's convolutions, to the authors' names."""
    rules = [
        (r"(body\.\d+\.body\.\d+)\.caLayer\.conv_du\.0\.(\w+)", r"\1.body.3.conv_du.0.\2"),
        (r"(body\.\d+\.body\.\d+)\.caLayer\.conv_du\.1\.(\w+)", r"\1.body.3.conv_du.2.\2"),
    ]
    return rename(state, rules)
