"""VESPCN: real-time video super-resolution with motion compensation (Caballero et al., CVPR 2017).

    previous ─ motion ─ warp ─┐
    current ──────────────────┼─ concat ─ fuse and upscale ─ sr
    next ───── motion ─ warp ─┘
    motion:   coarse flow at 1/4, warp, then a finer residual flow at 1/2 (figure 4)

There is no official code, and the paper does not fix width and depth of the upscaling part:

`body="residual"` (default): 64 channels, three pre-activation residual blocks, shuffle, and a last
    convolution at the output size, as in LoSealL's port; it has an F^SR for STD to distil.
`body="plain"`: convolutions of 24 channels whose last one is shuffled straight into the output,
   as in ESPCN; `layers=9` is the paper's largest.

Published students work on luma (`channels=1`) or RGB (`channels=3`, the default here: 878,787
parameters at x4). Flow is the same for both neighbours' weights, in pixels, at most `LARGEST_FLOW`.
"""

from __future__ import annotations

import math
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor, nn

from vsrc.compressor.networks.layers.blocks import crop_to, pad_to_multiple
from vsrc.compressor.networks.layers.counting import gmac_per_lr_pixel, parameter_count
from vsrc.compressor.networks.layers.luma import LumaPath
from vsrc.compressor.networks.layers.warp import warp
from vsrc.runtime.spec import Argument, NetworkSpec

LARGEST_FLOW = 32
"""Largest flow of each of the two stages, LR pixels, as in LoSealL's port."""

_FLOW_FEATURES = 24


class Motion(nn.Module):
    """Coarse-to-fine spatial transformer (section 3.3): motion between centre and neighbour.

    Args:
        channels: Channels of a frame.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = _FLOW_FEATURES
        self.coarse = nn.Sequential(
            *_step(2 * channels, kernel=5, stride=2),
            *_step(width, kernel=3),
            *_step(width, kernel=5, stride=2),
            *_step(width, kernel=3),
            *_flow(width, scale=4),
        )
        self.fine = nn.Sequential(
            *_step(3 * channels + 2, kernel=5, stride=2),
            *(layer for _ in range(3) for layer in _step(width, kernel=3)),
            *_flow(width, scale=2),
        )

    def forward(self, centre: Tensor, neighbour: Tensor) -> Tensor:
        """Estimate the flow from the centre to the neighbour.

        Args:
            centre: `(N, C, H, W)`, H and W multiples of 4.
            neighbour: The same shape.

        Returns:
            `(N, 2, H, W)`, pixels, (dx, dy).
        """
        coarse: Tensor = LARGEST_FLOW * self.coarse(torch.cat((centre, neighbour), dim=1))
        near = warp(neighbour, coarse)
        seen = torch.cat((centre, neighbour, coarse, near), dim=1)
        fine: Tensor = LARGEST_FLOW * self.fine(seen)
        return coarse + fine


class PreActivationBlock(nn.Module):
    """ReLU, convolution, ReLU, convolution, added to the input.

    Args:
        features: Channels in and out.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to the same shape."""
        branch: Tensor = self.conv2(torch.relu(self.conv1(torch.relu(x))))
        return x + branch


class ResidualBody(nn.Module):
    """Three residual blocks at the LR size, one convolution at the output size.

    Args:
        channels_in: Channels of all frames together.
        channels: Channels of the output.
        scale: SR/LR side ratio.
        features: Channels in between.
    """

    def __init__(self, channels_in: int, channels: int, *, scale: int, features: int) -> None:
        super().__init__()
        self.entry = nn.Conv2d(channels_in, features, 3, padding=1)
        self.blocks = nn.Sequential(*(PreActivationBlock(features) for _ in range(3)))
        self.upsampler = nn.Sequential(
            nn.Conv2d(features, features * scale**2, 3, padding=1), nn.PixelShuffle(scale)
        )
        self.tail = nn.Conv2d(features, channels, 3, padding=1)

    def forward(self, frames: Tensor) -> Tensor:
        """Map `(N, T * C, H, W)` to `(N, C, sH, sW)`."""
        entry = self.entry(frames)
        sr: Tensor = self.tail(self.upsampler(torch.relu(self.blocks(entry)) + entry))
        return sr


def plain_body(
    channels_in: int, channels: int, *, scale: int, features: int, layers: int
) -> nn.Module:
    """Build an ESPCN of several layers: all but the last have `features` channels and ReLU."""
    widths = [channels_in, *[features] * (layers - 1)]
    steps: list[nn.Module] = []
    for before, after in pairwise(widths):
        steps += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
    last = nn.Conv2d(widths[-1], channels * scale**2, 3, padding=1)
    return nn.Sequential(*steps, last, nn.PixelShuffle(scale))


class Vespcn(nn.Module):
    """The network in the diagram above.

    Args:
        scale: SR/LR side ratio.
        window: Frames fed at once, odd; the paper's is 3.
        channels: 3 for RGB, 1 for luma.
        body: `residual` or `plain`.
        layers: Convolutions of the plain body.
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        window: int = 3,
        channels: int = 3,
        body: str = "residual",
        layers: int = 9,
    ) -> None:
        super().__init__()
        if channels not in (1, 3):
            raise ValueError(f"{channels=} must be 1 (luma) or 3 (RGB)")
        if body not in ("residual", "plain"):
            raise ValueError(f"{body=} must be residual or plain")
        if layers < 2:
            raise ValueError(f"{layers=} must be at least 2")
        self.arguments: dict[str, Argument] = {
            "scale": scale,
            "window": window,
            "channels": channels,
            "body": body,
            "layers": layers,
        }
        self.scale, self.window, self.channels = scale, window, channels
        self.motion = Motion(channels)
        self.body: nn.Module = (
            ResidualBody(window * channels, channels, scale=scale, features=64)
            if body == "residual"
            else plain_body(window * channels, channels, scale=scale, features=24, layers=layers)
        )
        self.luma_path = LumaPath(scale) if channels == 1 else None

    @cached_property
    def spec(self) -> NetworkSpec:
        """Scale, window, halo and taps of the network."""
        residual = isinstance(self.body, ResidualBody)
        reach = 1 + 6 + 1 + math.ceil(1 / self.scale) if residual else self._layers()
        return NetworkSpec(
            name="vespcn",
            arguments=self.arguments,
            scale=self.scale,
            window=self.window,
            halo=_MOTION_REACH + LARGEST_FLOW + reach,
            parameters=parameter_count(self),
            gmac_per_lr_pixel=gmac_per_lr_pixel(self, window=self.window),
            size_multiple=4,
            colour="rgb" if self.luma_path is None else "y",
            hr_features="body.upsampler" if residual else None,
            stages=self._stages(),
        )

    def _layers(self) -> int:
        layers = self.arguments["layers"]
        assert isinstance(layers, int)
        return layers

    def _stages(self) -> tuple[str, ...]:
        if isinstance(self.body, ResidualBody):
            return ("body.entry", *(f"body.blocks.{index}" for index in range(3)))
        return tuple(f"body.{2 * index + 1}" for index in range(self._layers() - 1))

    def compensate(self, frames: Tensor) -> Tensor:
        """Warp every frame of a window to its centre: `(N, T, C, H, W)` to the same shape."""
        centre = frames[:, self.window // 2]
        seen = [
            centre
            if index == self.window // 2
            else warp(frames[:, index], self.motion(centre, frames[:, index]))
            for index in range(self.window)
        ]
        return torch.stack(seen, dim=1)

    def upscale(self, frames: Tensor) -> Tensor:
        """Upscale `(N, T, C, H, W)`, RGB or luma in [0, 1], to `(N, C, sH, sW)`."""
        height, width = frames.shape[-2:]
        fused = self.compensate(pad_to_multiple(frames, 4)).flatten(1, 2)
        sr: Tensor = self.body(fused)
        return crop_to(sr, height=height * self.scale, width=width * self.scale)

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale the centre frame.

        Args:
            lr: `(N, T, 3, H, W)` float32 RGB in [0, 1].

        Returns:
            `(N, 3, sH, sW)`, not clipped.
        """
        if self.luma_path is None:
            return self.upscale(lr)
        luma, chroma = self.luma_path.split_window(lr)
        return self.luma_path.join(self.upscale(luma), chroma)


# The chain of 5x5, 3x3, 5x5, 3x3, 3x3 at strides 1, 2, 2, 4, 4, then of 5x5 and four 3x3 at half
# the size; a pixel shuffle adds s - 1, the bilinear warp 1.
_MOTION_REACH = (2 + 2 + 4 + 4 + 4 + 3) + (2 + 4 * 2 + 1) + 1


def _step(channels_in: int, *, kernel: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    conv = nn.Conv2d(channels_in, _FLOW_FEATURES, kernel, stride=stride, padding=kernel // 2)
    return conv, nn.ReLU()


def _flow(channels_in: int, *, scale: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Build the layers from features to flow in (-1, 1) at `scale` times their size."""
    conv = nn.Conv2d(channels_in, 2 * scale**2, 3, padding=1)
    with torch.no_grad():
        conv.weight.mul_(0.01)  # initial flow is near zero, not random by pixels
        assert conv.bias is not None
        conv.bias.zero_()
    return conv, nn.Tanh(), nn.PixelShuffle(scale)
