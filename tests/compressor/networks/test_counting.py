"""Arithmetic counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vsrc.compressor.networks.counting import gmac_per_lr_pixel, parameter_count


def test_a_convolution_costs_its_kernel_for_each_pixel() -> None:
    network = nn.Conv2d(3, 8, 5, padding=2)
    assert gmac_per_lr_pixel(network) == pytest.approx(3 * 8 * 25 / 1e9)
    assert parameter_count(network) == 3 * 8 * 25 + 8


def test_what_does_not_grow_with_the_picture_is_left_out() -> None:
    class Merging(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Parameter(torch.ones(3, 16))
            self.two = nn.Parameter(torch.ones(16, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            kernel = (self.one @ self.two)[:, :, None, None]
            return nn.functional.conv2d(x, kernel)

    assert gmac_per_lr_pixel(Merging()) == pytest.approx(9 / 1e9)
