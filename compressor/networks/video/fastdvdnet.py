"""FastDVDnet (Tassano et al., CVPR 2020), and its adaptation to video super-resolution.

    frame t-2 ──┬─ step 1 ──┐
    frame t-1 ──┼┬─ step 1 ─┼─ step 2        Each step 1 sees three neighbours: (t-2, t-1, t),
    frame t   ──┴┼┬─ step 1 ┘                (t-1, t, t+1), (t, t+1, t+2). Its weights are shared,
    frame t+1 ───┴┤                          so a triple is computed once for all windows.
    frame t+2 ────┘                          Motion is not estimated explicitly.

Each step is one U-net over three inputs. In the denoiser (section 3.1) these are frames with a
noise map, and each step returns a frame. The adaptation of the STD paper is not known; ours has no
noise map, passes 32 features from step 1 to step 2 instead of a frame (three channels cannot carry
sub-pixel motion), and ends in pixel shuffles, added to the upscaled centre frame.
"""

from __future__ import annotations

from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsrc.compressor.networks.layers.blocks import Upsampler, crop_to, pad_to_multiple
from vsrc.compressor.networks.layers.counting import gmac_per_lr_pixel, parameter_count
from vsrc.runtime.spec import NetworkSpec

WINDOW = 5
TRIPLE = 3
FEATURES = 32
SIZE_MULTIPLE = 4


class Block(nn.Module):
    """Sequential layers, named as in the official files."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.convblock = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers to `(N, C, H, W)`."""
        y: Tensor = self.convblock(x)
        return y


def _conv(channels: int, features: int, *, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """3x3 convolution without bias, batch normalisation, ReLU."""
    conv = nn.Conv2d(channels, features, 3, stride, padding=1, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(features), nn.ReLU()]


def _pair(features: int) -> Block:
    return Block(*_conv(features, features), *_conv(features, features))


def _down(channels: int, features: int) -> Block:
    return Block(*_conv(channels, features, stride=2), _pair(features))


def _up(channels: int, features: int) -> Block:
    widen = nn.Conv2d(channels, 4 * features, 3, padding=1, bias=False)
    return Block(_pair(channels), widen, nn.PixelShuffle(2))


class DenBlock(nn.Module):
    """The U-net of both steps (figure 2b of the paper): 32, 64 and 128 channels at three sizes.

    Args:
        channels: Channels of each of the three inputs.
        outc: Last layers, applied to the 32 features at full size.
    """

    def __init__(self, channels: int, outc: nn.Module) -> None:
        super().__init__()
        # Each of the three inputs is first processed alone.
        first = _conv(TRIPLE * channels, TRIPLE * 30, groups=TRIPLE)
        self.inc = Block(*first, *_conv(TRIPLE * 30, FEATURES))
        self.downc0 = _down(FEATURES, 64)
        self.downc1 = _down(64, 128)
        self.upc2 = _up(128, 64)
        self.upc1 = _up(64, FEATURES)
        self.outc = outc
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, 3 * channels, H, W)`, H and W multiples of 4, to the output of `outc`."""
        full = self.inc(x)
        half = self.downc0(full)
        half = half + self.upc2(self.downc1(half))
        y: Tensor = self.outc(full + self.upc1(half))
        return y


class FastDvdNet(nn.Module):
    """Video super-resolution; see the diagram above.

    Args:
        scale: SR/LR side ratio, 3 or a power of 2 up to 8.
    """

    encoded_frames = TRIPLE

    def __init__(self, *, scale: int = 4) -> None:
        super().__init__()
        self.scale = scale
        self.temp1 = DenBlock(3, Block(*_conv(FEATURES, FEATURES)))
        self.temp2 = DenBlock(FEATURES, Block(*_conv(FEATURES, FEATURES)))
        self.upsample = Upsampler(FEATURES, scale)
        self.hr_features = nn.ReLU()
        self.conv_last = nn.Conv2d(FEATURES, 3, 3, padding=1)
        with torch.no_grad():
            # The first output is then the upscaled frame: training starts at bilinear, not noise.
            self.conv_last.weight.mul_(0.1)

    @cached_property
    def spec(self) -> NetworkSpec:
        """Scale, window, halo and taps of the network."""
        # One step at full, half and quarter size; then the tail, and 3 pixels because a pixel of a
        # 4x4 cell may be that far from the sampling position of the quarter size.
        step = (2 + 1) + (1 + 4 + 4 + 2) + (2 + 8 + 8 + 4)
        return NetworkSpec(
            name="fastdvdnet",
            arguments={"scale": self.scale},
            scale=self.scale,
            window=WINDOW,
            halo=2 * step + 2 + 3,
            parameters=parameter_count(self),
            gmac_per_lr_pixel=gmac_per_lr_pixel(self, window=WINDOW),
            size_multiple=SIZE_MULTIPLE,
            hr_features="hr_features",
            stages=("temp2.inc", "temp2.outc"),
        )

    def encode(self, triple: Tensor) -> tuple[Tensor]:
        """Apply step 1 to three consecutive frames: `(N, 3, 3, H, W)` to `(N, 32, H, W)`."""
        return (self.temp1(triple.flatten(1, 2)),)

    def fuse(self, features: tuple[Tensor], centre: Tensor) -> Tensor:
        """Apply step 2 and tail to a window's triples, `(N, 3, 32, H, W)`, and its centre."""
        (triples,) = features
        x = self.temp2(triples.flatten(1, 2))
        residual: Tensor = self.conv_last(self.hr_features(self.upsample(x)))
        base = F.interpolate(
            centre, scale_factor=float(self.scale), mode="bilinear", align_corners=False
        )
        return base + residual

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale the centre frame.

        Args:
            lr: `(N, 5, 3, H, W)` float32 RGB in [0, 1].

        Returns:
            `(N, 3, sH, sW)`, not clipped.
        """
        height, width = lr.shape[-2:]
        lr = pad_to_multiple(lr, SIZE_MULTIPLE)
        triples = torch.stack([lr[:, i : i + TRIPLE] for i in range(TRIPLE)], dim=1).flatten(0, 1)
        (encoded,) = self.encode(triples)
        encoded = encoded.reshape(lr.shape[0], TRIPLE, *encoded.shape[1:])
        sr = self.fuse((encoded,), lr[:, WINDOW // 2])
        return crop_to(sr, height=self.scale * height, width=self.scale * width)
