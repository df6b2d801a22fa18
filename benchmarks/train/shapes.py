r"""Other shapes of `edge`, to be compared with it at equal time: frames stacked and fused at once.

    frames t-2 .. t+2 ─ stack ─ fuse ─ N times RepConv, ReLU ─ tail ─ shuffle ─ + ─ SR of t

    vsrc distill --student vsrc.benchmarks.train.shapes:stacked --allow-code \
                 --set student_arguments.features=32 --set student_arguments.blocks=3 ...

There is no encoder, so the 40 channels between it and the fusion are not written and read again,
and what its convolutions cost goes into the body. A runtime cannot keep features from window to
window; it computes three channels of each frame anew instead of eight.
"""

from __future__ import annotations

from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsrc.compressor.networks.layers.counting import gmac_per_lr_pixel
from vsrc.compressor.networks.video.edge import FusionConv, RepConv
from vsrc.runtime.spec import NetworkSpec


class Stacked(nn.Module):
    """The network of the picture above.

    Args:
        features: Channels of the body.
        blocks: Convolutions of the body.
        scale: SR/LR side ratio.
        window: Frames fed at once, odd.
    """

    def __init__(self, *, features: int, blocks: int, scale: int, window: int) -> None:
        super().__init__()
        self.features, self.scale, self.window = features, scale, window
        self.fusion = FusionConv(window, 3, features)
        self.body: nn.ModuleList = nn.ModuleList(RepConv(features) for _ in range(blocks))
        self.tail = nn.Conv2d(features, 3 * scale * scale, 3, padding=1)
        with torch.no_grad():
            self.tail.weight.mul_(0.1)

    @cached_property
    def spec(self) -> NetworkSpec:
        """What the outside must know to feed it."""
        blocks, plain = len(self.body), 9 * self.features**2 + self.features
        ends = 9 * self.features * 3 * (self.window + self.scale**2)
        return NetworkSpec(
            name="vsrc.benchmarks.train.shapes:stacked",
            arguments={
                "features": self.features,
                "blocks": blocks,
                "scale": self.scale,
                "window": self.window,
            },
            scale=self.scale,
            window=self.window,
            halo=blocks + 2,
            parameters=ends + self.features + 3 * self.scale**2 + blocks * plain,
            gmac_per_lr_pixel=gmac_per_lr_pixel(self, window=self.window),
        )

    def forward(self, lr: Tensor) -> Tensor:
        """`(N, T, 3, H, W)` in [0, 1] to `(N, 3, sH, sW)`, not clipped."""
        x = torch.relu(self.fusion(lr.flatten(1, 2)))
        for block in self.body:
            x = torch.relu(block(x))
        base = F.interpolate(
            lr[:, self.window // 2],
            scale_factor=float(self.scale),
            mode="bilinear",
            align_corners=False,
        )
        return base + F.pixel_shuffle(self.tail(x), self.scale)


def stacked(*, features: int = 32, blocks: int = 3, scale: int = 4, window: int = 5) -> Stacked:
    """Any member of the family."""
    return Stacked(features=features, blocks=blocks, scale=scale, window=window)
