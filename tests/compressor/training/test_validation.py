from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from vsrc.compressor.data.dataset import ClipBatch
from vsrc.compressor.networks.layers.bicubic import BicubicUpscale
from vsrc.compressor.training.validation import bicubic_psnr_on, psnr_on
from vsrc.runtime.spec import NetworkSpec


class Bicubic(nn.Module):
    """Enlargement by convolution, as a network of pictures."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.spec = NetworkSpec("bicubic", {}, scale, 1, 2, 0, 0.0)
        self.enlarge = BicubicUpscale(3, scale)
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, lr: Tensor) -> Tensor:
        enlarged: Tensor = self.enlarge(lr)
        return enlarged


@pytest.mark.parametrize("scale", [2, 4])
def test_bicubic_scores_as_a_network_that_enlarges_bicubically(scale: int) -> None:
    generator = torch.Generator().manual_seed(scale)

    def clip(frames: int) -> ClipBatch:
        lr = torch.randint(0, 256, (1, frames, 3, 12, 9), generator=generator) / 255
        hr = torch.randint(0, 256, (1, frames, 3, 12 * scale, 9 * scale), generator=generator) / 255
        return ClipBatch(lr, hr, ("noise",))

    clips = [clip(3), clip(2)]
    # Single precision may round a half the other way.
    assert bicubic_psnr_on(clips) == pytest.approx(psnr_on(Bicubic(scale), clips), abs=1e-3)
