"""Small networks of spandrel."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from torch import nn


@pytest.fixture
def small_swinir(spandrel: ModuleType) -> nn.Module:
    """A SwinIR x2 of random weights, with windows of 4 pixels."""
    import torch

    torch.manual_seed(0)
    network: nn.Module = spandrel.architectures.SwinIR.SwinIR(
        img_size=8, embed_dim=12, depths=[2], num_heads=[2], window_size=4, upscale=2,
        upsampler="pixelshuffledirect", resi_connection="1conv", mlp_ratio=2,
    )  # fmt: skip
    return network
