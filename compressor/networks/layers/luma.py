"""Apply a luma-only network to RGB.

    RGB ─┬─ Y ─────── network ────────┐
         └─ Cb, Cr ─ bicubic upscaled ┴─ RGB

YCbCr is that of ITU-R BT.601, studio swing, as in MATLAB's rgb2ycbcr: Y in 16..235 and Cb, Cr in
16..240, here divided by 255. A network with this path has RGB input and output like every other;
its features (taps, F^SR) are features of luma alone, with as many channels as those of its RGB
variant.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsrc.compressor.networks.layers.bicubic import BicubicUpscale

_TO_YCBCR = (
    (65.481, 128.553, 24.966),
    (-37.797, -74.203, 112.0),
    (112.0, -93.786, -18.214),
)
_OFFSET = (16.0, 128.0, 128.0)


class LumaPath(nn.Module):
    """Split RGB into luma and chroma, and merge upscaled luma with chroma.

    Args:
        scale: Ratio of the sides of upscaled and input luma.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.enlarge = BicubicUpscale(2, scale)
        to_ycbcr = torch.tensor(_TO_YCBCR, dtype=torch.float64) / 255
        offset = torch.tensor(_OFFSET, dtype=torch.float64) / 255
        to_rgb = torch.linalg.inv(to_ycbcr)
        for name, matrix, bias in (
            ("to_ycbcr", to_ycbcr, offset),
            ("to_rgb", to_rgb, -to_rgb @ offset),
        ):
            self.register_buffer(name, _default(matrix)[..., None, None], persistent=False)
            self.register_buffer(f"{name}_bias", _default(bias), persistent=False)

    def luma(self, rgb: Tensor) -> Tensor:
        """Convert `(N, 3, H, W)` RGB in [0, 1] to Y, `(N, 1, H, W)` in [16/255, 235/255]."""
        return self.split(rgb)[0]

    def split(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Convert `(N, 3, H, W)` RGB in [0, 1] to Y, `(N, 1, H, W)`, and CbCr, `(N, 2, H, W)`."""
        ycbcr = F.conv2d(rgb, self.get_buffer("to_ycbcr"), self.get_buffer("to_ycbcr_bias"))
        return ycbcr[:, :1], ycbcr[:, 1:]

    def split_window(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Convert `(N, T, 3, H, W)` RGB to Y, `(N, T, 1, H, W)`, and the centre's CbCr."""
        batch, window = frames.shape[:2]
        luma, chroma = self.split(frames.flatten(0, 1))
        luma = luma.reshape(batch, window, *luma.shape[1:])
        chroma = chroma.reshape(batch, window, *chroma.shape[1:])
        return luma, chroma[:, window // 2]

    def join(self, luma: Tensor, chroma: Tensor) -> Tensor:
        """Merge Y of SR, `(N, 1, sH, sW)`, and CbCr of LR, `(N, 2, H, W)`, to RGB."""
        ycbcr = torch.cat((luma, self.enlarge(chroma)), dim=1)
        return F.conv2d(ycbcr, self.get_buffer("to_rgb"), self.get_buffer("to_rgb_bias"))


def _default(values: Tensor) -> Tensor:
    return values.to(torch.get_default_dtype())
