"""Common structure of EDSR, RCAN and SAN.

A deep body under one long skip, then pixel shuffles and the last convolution:

    lr ─ - mean ─ head ─┬─ deep_features ─ + ─ deep ─ upsampler ─ tail ─ + mean ─ sr
                        └──────────────────┘
"""

from __future__ import annotations

from torch import Tensor, nn

from vsrc.compressor.networks.layers.blocks import Upsampler
from vsrc.compressor.networks.layers.counting import gmac_per_lr_pixel, parameter_count
from vsrc.compressor.networks.layers.mean_shift import MeanShift
from vsrc.runtime.spec import Argument, NetworkSpec


class LongSkipNetwork(nn.Module):
    """Everything in the diagram above except `deep_features`, which each network defines.

    A base class, not a part: so the tensors of a network are `head.weight` and `body.0...`, as in
    official files, without a prefix.

    Args:
        features: Channels of head and body.
        body: Residual blocks or groups, in order; a list where their inputs are not a plain chain.
        scale: SR/LR side ratio.
        rgb_range: Value range of the training data: 255 in the official releases.
        arguments: Arguments of the constructor, for the spec.
    """

    def __init__(
        self,
        features: int,
        body: nn.Sequential | nn.ModuleList,
        *,
        scale: int,
        rgb_range: float,
        arguments: dict[str, Argument],
    ) -> None:
        super().__init__()
        self.arguments, self.scale = arguments, scale
        self.mean_shift = MeanShift(rgb_range)
        self.head = nn.Conv2d(3, features, 3, padding=1)
        self.body = body
        self.deep = nn.Identity()  # no weights: a hook sees the feature after the long skip here
        self.upsampler = Upsampler(features, scale)
        self.tail = nn.Conv2d(features, 3, 3, padding=1)

    def deep_features(self, shallow: Tensor) -> Tensor:
        """Compute what is added to the head's output: `(N, C, H, W)` to the same shape."""
        raise NotImplementedError

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale an image.

        Args:
            lr: `(N, 3, H, W)` float32 RGB in [0, 1].

        Returns:
            `(N, 3, sH, sW)`, not clipped.
        """
        shallow = self.head(self.mean_shift.enter(lr))
        deep = self.deep(self.deep_features(shallow) + shallow)
        return self.mean_shift.leave(self.tail(self.upsampler(deep)))

    def describe(
        self, name: str, *, body_reach: int, sees_everything: bool = False, size_multiple: int = 1
    ) -> NetworkSpec:
        """Build the spec of such a network.

        Args:
            name: Name in the table of networks.
            body_reach: Receptive field of `deep_features` on one side, pixels.
            sees_everything: Whether attention pools over the whole image, with little weight on
                any one place, so that the halo covers only most of the influence.
            size_multiple: Required divisor of the input's height and width in an exported graph.
        """
        return NetworkSpec(
            name=name,
            arguments=self.arguments,
            scale=self.scale,
            window=1,
            halo=1 + body_reach + len(self.upsampler) // 2 + 1,
            halo_is_exact=not sees_everything,
            parameters=parameter_count(self),
            gmac_per_lr_pixel=gmac_per_lr_pixel(self),
            size_multiple=size_multiple,
            hr_features="upsampler",
            stages=("head", *(f"body.{index}" for index in range(len(self.body))), "deep"),
        )
