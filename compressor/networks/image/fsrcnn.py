"""FSRCNN: fast super-resolution by a CNN (Dong et al., ECCV 2016), figure 2.

    lr ─ extract 5x5 ─ shrink 1x1 ─ map 3x3 (m times) ─ expand 1x1 ─ deconvolution 9x9 ─ sr
             d = 56        s = 12          s = 12             d = 56

Two variants are in use. With `channels=3` it works on RGB with one PReLU slope for each channel
(24,683 parameters, as in the ETDS repository); with `channels=1` on luma with one slope for each
layer (12,644 parameters, as in PISR), and chroma is upscaled bicubically.

`FsrcnnTeacher` is the teacher of PISR (Lee et al., ECCV 2020): an encoder that compresses the HR
image to a code of the LR image's size, and an FSRCNN that upscales the code.
"""

from __future__ import annotations

import math
from functools import cached_property

from torch import Tensor, nn

from vsrc.compressor.networks.checkpoints.renaming import rename
from vsrc.compressor.networks.layers.bicubic import REACH
from vsrc.compressor.networks.layers.counting import gmac_per_lr_pixel, parameter_count
from vsrc.compressor.networks.layers.luma import LumaPath
from vsrc.runtime.spec import Argument, NetworkSpec


class Fsrcnn(nn.Module):
    """The network in the diagram above.

    Args:
        scale: SR/LR side ratio.
        channels: 3 for RGB, 1 for luma.
        features: Channels of extraction and expansion, the paper's d.
        shrunk: Channels of the mapping, the paper's s.
        maps: Convolutions of the mapping, the paper's m.
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        channels: int = 3,
        features: int = 56,
        shrunk: int = 12,
        maps: int = 4,
    ) -> None:
        super().__init__()
        if channels not in (1, 3):
            raise ValueError(f"{channels=} must be 1 (luma) or 3 (RGB)")
        self.arguments: dict[str, Argument] = {
            "scale": scale,
            "channels": channels,
            "features": features,
            "shrunk": shrunk,
            "maps": maps,
        }
        self.scale, self.channels = scale, channels
        each = channels == 3  # one slope per channel, or one per layer
        self.extract = _layer(channels, features, kernel=5, slope_each=each)
        self.shrink = _layer(features, shrunk, kernel=1, slope_each=each)
        mapping = (_layer(shrunk, shrunk, kernel=3, slope_each=each) for _ in range(maps))
        self.mapping = nn.Sequential(*mapping)
        self.expand = _layer(shrunk, features, kernel=1, slope_each=each)
        self.deconv = nn.ConvTranspose2d(
            features, channels, 9, stride=scale, padding=4, output_padding=scale - 1
        )
        nn.init.normal_(self.deconv.weight, std=0.001)  # section 4.2
        self.luma_path = LumaPath(scale) if channels == 1 else None

    @cached_property
    def spec(self) -> NetworkSpec:
        """Scale, window, halo and taps of the network."""
        maps = len(self.mapping)
        reach = 2 + maps + math.ceil(4 / self.scale)
        return NetworkSpec(
            name="fsrcnn",
            arguments=self.arguments,
            scale=self.scale,
            window=1,
            halo=max(reach, REACH),
            parameters=parameter_count(self),
            gmac_per_lr_pixel=gmac_per_lr_pixel(self),
            colour="rgb" if self.luma_path is None else "y",
            stages=("extract", "shrink", *(f"mapping.{i}" for i in range(maps)), "expand"),
        )

    def adapt_checkpoint(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Rename tensors from the layouts of ETDS or PISR to ours."""
        return rename(state, [*_etds_rules(len(self.mapping)), *_pisr_rules()])

    def upscale(self, planes: Tensor) -> Tensor:
        """Upscale `(N, channels, H, W)`, RGB or luma in [0, 1], to `(N, channels, sH, sW)`."""
        x = self.expand(self.mapping(self.shrink(self.extract(planes))))
        sr: Tensor = self.deconv(x)
        return sr

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale an image.

        Args:
            lr: `(N, 3, H, W)` float32 RGB in [0, 1].

        Returns:
            `(N, 3, sH, sW)`, not clipped.
        """
        if self.luma_path is None:
            return self.upscale(lr)
        luma, chroma = self.luma_path.split(lr)
        return self.luma_path.join(self.upscale(luma), chroma)


class FsrcnnTeacher(nn.Module):
    """PISR's teacher (section 3.2), whose input is the HR image.

    Args:
        scale: SR/LR side ratio.
        channels: 3 for RGB, 1 for luma (98,728 parameters, as published).
    """

    def __init__(self, *, scale: int = 4, channels: int = 1) -> None:
        super().__init__()
        self.scale, self.channels = scale, channels
        self.decoder = Fsrcnn(scale=scale, channels=channels)
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, 56, 5, padding=2),
            nn.PReLU(),
            nn.Conv2d(56, 56, 5, stride=scale, padding=2),
            nn.PReLU(),
            nn.Conv2d(56, 12, 3, padding=1),
            nn.PReLU(),
            nn.Conv2d(12, channels, 3, padding=1),
        )

    def adapt_checkpoint(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Rename tensors from PISR's layout to ours."""
        rules = [
            (r"(?:backbone\.network\.)?encoder\.0\.(.*)", r"encoder.\1"),
            *_pisr_rules("decoder."),
        ]
        return rename(state, rules)

    def encode(self, hr: Tensor) -> Tensor:
        """Encode `(N, channels, sH, sW)` in [0, 1] to the code, `(N, channels, H, W)`."""
        code: Tensor = self.encoder(hr)
        return code

    def forward(self, hr: Tensor) -> tuple[Tensor, Tensor]:
        """Encode an HR image and reconstruct it from the code.

        Args:
            hr: `(N, channels, sH, sW)` in [0, 1], H and W multiples of the scale.

        Returns:
            The reconstructed image, of the same shape, and the code, `(N, channels, H, W)`, which
                is trained to resemble the LR image.
        """
        code = self.encode(hr)
        return self.decoder.upscale(code), code


def _layer(channels_in: int, channels_out: int, *, kernel: int, slope_each: bool) -> nn.Sequential:
    conv = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2)
    nn.init.kaiming_normal_(conv.weight, a=0.25)
    return nn.Sequential(conv, nn.PReLU(channels_out if slope_each else 1))


def _etds_rules(maps: int) -> list[tuple[str, str]]:
    """Rules for `mid_part`, one list of convolutions and slopes: shrink, mapping, expand."""
    layers = ["shrink", *(f"mapping.{index}" for index in range(maps)), "expand"]
    middle = [
        (rf"mid_part\.{2 * index + part}\.(.*)", rf"{layer}.{part}.\1")
        for index, layer in enumerate(layers)
        for part in (0, 1)
    ]
    return [(r"first_part\.(.*)", r"extract.\1"), *middle, (r"last_part\.(.*)", r"deconv.\1")]


def _pisr_rules(prefix: str = "") -> list[tuple[str, str]]:
    theirs = r"(?:backbone\.network\.)?"
    return [
        (rf"{theirs}feature_extraction\.0\.(.*)", rf"{prefix}extract.\1"),
        (rf"{theirs}shrinking\.0\.(.*)", rf"{prefix}shrink.\1"),
        (rf"{theirs}mapping\.(\d+\.\d+\.\w+)", rf"{prefix}mapping.\1"),
        (rf"{theirs}expanding\.0\.(.*)", rf"{prefix}expand.\1"),
        (rf"{theirs}last_layer\.0\.0\.(.*)", rf"{prefix}deconv.\1"),
        (r"vid_module_dict\..*", ""),  # heads of the objective, not of the network
    ]
