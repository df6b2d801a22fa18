"""VSRNet: video super-resolution with convolutional networks (Kappeler et al., 2016).

    frame t-2 ─ upscale ─ 9x9 ─┐
    frame t-1 ─ upscale ─ 9x9 ─┤
    frame t   ─ upscale ─ 9x9 ─┼─ concat ─ ReLU ─ 5x5 ─ ReLU = F^SR ─ 5x5 ─ sr
    frame t+1 ─ upscale ─ 9x9 ─┤
    frame t+2 ─ upscale ─ 9x9 ─┘

SRCNN on several frames: everything runs at the output size, on frames upscaled
bicubically. In the paper's choice (architecture b) each frame has a first layer of its own, shared
by the frames at the same distance before and after the centre (filter symmetry); `fusion="early"`
is architecture a, which concatenates the frames at the input.

The paper works on luma (`channels=1`, the default: 272,577 parameters for five frames) and moves
the neighbours onto the centre beforehand by an optical flow of its own. That
flow is not part of the network, so there is none here: frames are not aligned.
"""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor, nn

from vsrc.compressor.networks.layers.bicubic import REACH, BicubicUpscale
from vsrc.compressor.networks.layers.counting import gmac_per_lr_pixel, parameter_count
from vsrc.compressor.networks.layers.luma import LumaPath
from vsrc.runtime.spec import Argument, NetworkSpec


class EarlyFusion(nn.Module):
    """Architecture a: all frames go into one first layer.

    Args:
        window: Frames.
        channels: Channels of a frame.
    """

    def __init__(self, window: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(window * channels, 64, 9, padding=4)

    def forward(self, frames: Tensor) -> Tensor:
        """Map `(N, T, C, H, W)` to `(N, 64, H, W)`."""
        features: Tensor = self.conv(frames.flatten(1, 2))
        return features


class SymmetricFusion(nn.Module):
    """Architecture b: a first layer for each distance from the centre, then concatenation.

    Args:
        window: Frames.
        channels: Channels of a frame.
    """

    def __init__(self, window: int, channels: int) -> None:
        super().__init__()
        layers = (nn.Conv2d(channels, 64, 9, padding=4) for _ in range(window // 2 + 1))
        self.by_distance: nn.ModuleList = nn.ModuleList(layers)

    def forward(self, frames: Tensor) -> Tensor:
        """Map `(N, T, C, H, W)` to `(N, 64 * T, H, W)`."""
        centre = frames.shape[1] // 2
        features = [
            self.by_distance[abs(index - centre)](frames[:, index])
            for index in range(frames.shape[1])
        ]
        return torch.cat(features, dim=1)


class Vsrnet(nn.Module):
    """The network in the diagram above.

    Args:
        scale: SR/LR side ratio.
        window: Frames fed at once, odd.
        channels: 1 for luma, 3 for RGB.
        fusion: `symmetric` (architecture b) or `early` (a).
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        window: int = 5,
        channels: int = 1,
        fusion: str = "symmetric",
    ) -> None:
        super().__init__()
        if channels not in (1, 3):
            raise ValueError(f"{channels=} must be 1 (luma) or 3 (RGB)")
        if fusion not in ("symmetric", "early"):
            raise ValueError(f"{fusion=} must be symmetric or early")
        self.arguments: dict[str, Argument] = {
            "scale": scale,
            "window": window,
            "channels": channels,
            "fusion": fusion,
        }
        self.scale, self.window, self.channels = scale, window, channels
        self.enlarge = BicubicUpscale(channels, scale)
        early = fusion == "early"
        self.fusion = (EarlyFusion if early else SymmetricFusion)(window, channels)
        self.conv2 = nn.Conv2d(64 if early else 64 * window, 32, 5, padding=2)
        self.hr_features = nn.ReLU()  # a module, so that a forward hook can read F^SR
        self.conv3 = nn.Conv2d(32, channels, 5, padding=2)
        self.luma_path = LumaPath(scale) if channels == 1 else None

    @cached_property
    def spec(self) -> NetworkSpec:
        """Scale, window, halo and taps of the network."""
        return NetworkSpec(
            name="vsrnet",
            arguments=self.arguments,
            scale=self.scale,
            window=self.window,
            halo=math.ceil((4 + 2 + 2) / self.scale) + REACH,
            parameters=parameter_count(self),
            gmac_per_lr_pixel=gmac_per_lr_pixel(self, window=self.window),
            colour="rgb" if self.luma_path is None else "y",
            hr_features="hr_features",
            stages=("fusion", "hr_features"),
        )

    def upscale(self, frames: Tensor) -> Tensor:
        """Upscale `(N, T, C, H, W)`, RGB or luma in [0, 1], to `(N, C, sH, sW)`."""
        batch, window = frames.shape[:2]
        enlarged = self.enlarge(frames.flatten(0, 1))
        enlarged = enlarged.reshape(batch, window, *enlarged.shape[1:])
        features = torch.relu(self.fusion(enlarged))
        sr: Tensor = self.conv3(self.hr_features(self.conv2(features)))
        return sr

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
