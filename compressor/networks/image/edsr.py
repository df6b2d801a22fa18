"""EDSR: enhanced deep residual network (Lim et al., CVPRW 2017), figure 3.

    lr ─ - mean ─ head ─┬─ residual block (B times) ─ conv ─ + ─ upsampler ─ tail ─ + mean ─ sr
                        └────────────────────────────────────┘

The published network has B = 32, 256 channels and residual scaling 0.1; the baseline is
`create("edsr", blocks=16, features=64, residual_scale=1.0)`. With `width` the network is a student
made of the first channels of its teacher (`channel_split`).

Files by the authors (`EDSR-PyTorch`), by FAKD, CSD and BasicSR load as they are.
"""

from __future__ import annotations

import re
from functools import cached_property

from torch import Tensor, nn

from vsrc.compressor.networks.checkpoints.renaming import rename
from vsrc.compressor.networks.image.long_skip import LongSkipNetwork
from vsrc.compressor.networks.layers.blocks import ResidualBlock
from vsrc.runtime.spec import NetworkSpec


class Edsr(LongSkipNetwork):
    """The network in the diagram above.

    Args:
        scale: SR/LR side ratio.
        blocks: Residual blocks.
        features: Channels at full width.
        residual_scale: Factor on each block's branch.
        width: Fraction of the channels that is kept.
        rgb_range: Value range of the training data: 255 in the official releases.
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        blocks: int = 32,
        features: int = 256,
        residual_scale: float = 0.1,
        width: float = 1.0,
        rgb_range: float = 255.0,
    ) -> None:
        kept = scale_channels(features, width)
        body = (ResidualBlock(kept, scale=residual_scale) for _ in range(blocks))
        super().__init__(
            kept,
            nn.Sequential(*body),
            scale=scale,
            rgb_range=rgb_range,
            arguments={
                "scale": scale,
                "blocks": blocks,
                "features": features,
                "residual_scale": residual_scale,
                "width": width,
                "rgb_range": rgb_range,
            },
        )
        self.body_conv = nn.Conv2d(kept, kept, 3, padding=1)

    @cached_property
    def spec(self) -> NetworkSpec:
        """Scale, window, halo and taps of the network."""
        return self.describe("edsr", body_reach=2 * len(self.body) + 1)

    def deep_features(self, shallow: Tensor) -> Tensor:
        """See `LongSkipNetwork`."""
        deep: Tensor = self.body_conv(self.body(shallow))
        return deep

    def adapt_checkpoint(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Rename tensors from the layouts of EDSR-PyTorch, FAKD, CSD or BasicSR to ours."""
        blocks = len(self.body)
        rules = [
            *ends_of_edsr(),
            (rf"body\.{blocks}\.(\w+)", r"body_conv.\1"),
            (r"body\.(\d+)\.body\.0\.(\w+)", r"body.\1.conv1.\2"),
            (r"body\.(\d+)\.body\.2\.(\w+)", r"body.\1.conv2.\2"),
            *_fakd_thirds(state),
        ]
        return rename(self.mean_shift.taken_from(state), rules)


def scale_channels(channels: int, width: float) -> int:
    """Number of channels of a layer at a width: `int(width * channels)`, and at least 1."""
    if not 0.0 < width <= 1.0:
        raise ValueError(f"{width=} must lie in (0, 1]")
    return max(int(width * channels), 1)


def ends_of_edsr() -> list[tuple[str, str]]:
    """Rules for head and tail in the layouts of EDSR and networks derived from it."""
    return [
        (r"head\.0\.(\w+)", r"head.\1"),
        (r"(?:head_conv|conv_first)\.(\w+)", r"head.\1"),
        (r"(?:body_tail|conv_after_body)\.(\w+)", r"body_conv.\1"),
        (r"tail\.0\.(\d+)\.(\w+)", r"upsampler.\1.\2"),
        (r"upsample\.(\d+)\.(\w+)", r"upsampler.\1.\2"),
        (r"upsampler\.blocks\.0\.(\w+)", r"upsampler.0.\1"),
        (r"upsampler\.blocks\.1\.(\w+)", r"upsampler.2.\1"),
        (r"upsampler\.blocks\.2\.(\w+)", r"upsampler.4.\1"),
        (r"(?:tail\.1|tail_conv|conv_last)\.(\w+)", r"tail.\1"),
    ]


def _fakd_thirds(state: dict[str, Tensor]) -> list[tuple[str, str]]:
    """FAKD splits the body into three lists, the last of which ends with the body's convolution."""
    matches = [re.match(r"body([123])\.(\d+)\.body\.", key) for key in state]
    sizes = dict.fromkeys("123", 0)
    for match in filter(None, matches):
        sizes[match[1]] = max(sizes[match[1]], int(match[2]) + 1)
    rules, first = [], 0
    for third, size in sizes.items():
        for index in range(size):
            name = rf"body{third}\.{index}\.body"
            rules += [
                (rf"{name}\.0\.(\w+)", rf"body.{first + index}.conv1.\1"),
                (rf"{name}\.2\.(\w+)", rf"body.{first + index}.conv2.\1"),
            ]
        first += size
    return [*rules, (rf"body3\.{sizes['3']}\.(\w+)", r"body_conv.\1")]
