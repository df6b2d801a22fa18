"""STDAN: spatial-temporal deformable attention network (Wang et al. 2022).

Space-time super-resolution: 4 frames in, 7 frames out (3 interpolated), 4 times as large.

    frame ─ conv_first ─ Swin encoder ─ pyramid L1, L2, L3       encode: each frame by itself
                                            │
                   LSTFI: features of the frames between    (stdan_lstfi.py)
                                            │
                   STDFA: attention between all frames       (stdan_stdfa.py)
                                            │
                   Swin reconstruction ─ conv ─ shuffle 2 ─ shuffle 2 = F^SR ─ conv_last ─ SR

There is no residual to an upscaled frame: the network computes the whole frame. State-dict names
    are
those of the official release (sttrans.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from vsrc.compressor.networks.layers.blocks import crop_to, pad_to_multiple
from vsrc.compressor.networks.layers.counting import gmac_per_lr_pixel, parameter_count
from vsrc.compressor.networks.layers.pyramid import Pyramid, conv3, lrelu, to_windows
from vsrc.compressor.networks.layers.swin import WINDOW, SwinBody
from vsrc.compressor.networks.video.stdan_lstfi import (
    Interpolation,
    add_pyramid_layers,
    pyramid_from,
)
from vsrc.compressor.networks.video.stdan_stdfa import Aggregation
from vsrc.runtime.spec import NetworkSpec

SCALE = 4
HALO = 64
"""Context of a tile, LR pixels. On paper the windows of 48 transformer blocks reach 190 pixels and
the hidden state further, but attention dilutes. Measured with random weights on real frames, a tile
equals the whole frame to 0.2 % of the contrast (rms) with 32 pixels of context, to 0.005 % with 48,
and to rounding with 64; it has to start at a multiple of 8, so that its windows are the frame's."""


@dataclass(frozen=True)
class StdanSize:
    """Channels and depth.

    Attributes:
        features: Channels of the convolutional parts.
        embedded: Channels of the transformer blocks and of the aggregation.
        encoder_groups: Residual groups of the encoder.
        reconstruct_groups: Residual groups of the reconstruction.
        depth: Transformer blocks of a group.
    """

    features: int = 64
    embedded: int = 72
    encoder_groups: int = 2
    reconstruct_groups: int = 6
    depth: int = 6


HEADS = 6
GROUPS = 8
"""Deformable groups."""


class Stdan(nn.Module):
    """The network in the diagram above.

    Args:
        size: Channels and depth.
        window: Frames fed at once.
    """

    encoded_frames = 1

    def __init__(self, size: StdanSize, *, window: int = 4) -> None:
        super().__init__()
        self.window = window
        features = size.features
        self.conv_first = conv3(3, features)
        self.feature_extraction = SwinBody(
            features,
            embedded=size.embedded,
            heads=HEADS,
            groups=size.encoder_groups,
            depth=size.depth,
        )
        add_pyramid_layers(self, features)
        self.pcd_align_modified = Interpolation(features, groups=GROUPS)
        self.fusion_f_b = nn.Conv2d(2 * features, features, 1)
        self.stdfa = Aggregation(features, embedded=size.embedded, groups=GROUPS)
        self.feature_recon = SwinBody(
            features,
            embedded=size.embedded,
            heads=HEADS,
            groups=size.reconstruct_groups,
            depth=size.depth,
        )
        self.conv_before_upsample = nn.Sequential(conv3(features, features), nn.LeakyReLU(0.01))
        self.upsample = nn.Sequential(
            conv3(features, 4 * features),
            nn.PixelShuffle(2),
            conv3(features, 4 * features),
            nn.PixelShuffle(2),
        )
        self.conv_last = conv3(features, 3)

    @cached_property
    def spec(self) -> NetworkSpec:
        """Scale, window, halo and taps of the network."""
        frames = 2 * self.window - 1
        groups = range(len(self.feature_recon.layers))
        return NetworkSpec(
            name="stdan",
            arguments={"scale": SCALE, "window": self.window},
            scale=SCALE,
            window=self.window,
            halo=HALO,
            halo_is_exact=False,
            parameters=parameter_count(self),
            gmac_per_lr_pixel=gmac_per_lr_pixel(self, window=self.window) / frames,
            size_multiple=WINDOW,
            time_scale=2,
            hr_features="upsample",
            stages=tuple(f"feature_recon.layers.{index}" for index in groups),
        )

    def encode(self, frame: Tensor) -> Pyramid:
        """Encode one frame, `(N, 3, H, W)`, to a pyramid; each level `(N, C, h, w)`."""
        return pyramid_from(self, self.feature_extraction(lrelu(self.conv_first(frame))))

    def interpolate(self, frames: Pyramid) -> Tensor:
        """Features of all frames, `(N, 2T - 1, C, H, W)`; odd indices are interpolated."""
        between = self.pcd_align_modified(frames)
        batch, pairs = between.shape[:2]
        made = self.fusion_f_b(between.flatten(0, 1))
        made = made.reshape(batch, pairs, *made.shape[1:])
        known = frames[0]
        ordered = [known[:, 0]]
        for index in range(pairs):
            ordered += [made[:, index], known[:, index + 1]]
        return torch.stack(ordered, dim=1)

    def fuse(self, frames: Pyramid, _centre: Tensor | None = None) -> Tensor:
        """Map a window's features, each level `(N, T, C, h, w)`, to `(N, 2T - 1, 3, 4H, 4W)`.

        The frames themselves are not used.
        """
        batch, window = frames[0].shape[:2]
        x: Tensor = self.feature_recon(self.stdfa(self.interpolate(frames)))
        x = self.conv_last(self.upsample(self.conv_before_upsample(x)))
        return x.reshape(batch, 2 * window - 1, *x.shape[1:])

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale the frames and interpolate those between.

        Args:
            lr: `(N, T, 3, H, W)` float32 RGB in [0, 1].

        Returns:
            `(N, 2T - 1, 3, 4H, 4W)`, not clipped.
        """
        height, width = lr.shape[-2:]
        lr = pad_to_multiple(lr, WINDOW)
        frames = to_windows(self.encode(lr.flatten(0, 1)), batch=lr.shape[0])
        return crop_to(self.fuse(frames), height=SCALE * height, width=SCALE * width)


def stdan(*, scale: int = SCALE, window: int = 4) -> Stdan:
    """Build the official STDAN, 8.3 million parameters.

    Args:
        scale: SR/LR side ratio; must be 4.
        window: Frames fed at once; the official weights were trained with 4.
    """
    if scale != SCALE:
        raise ValueError(f"{scale=}: stdan upscales by 4 only; use scale=4 or another network")
    if window < 2:
        raise ValueError(f"{window=}: stdan interpolates between frames, so it needs 2 or more")
    return Stdan(StdanSize(), window=window)
