"""Arithmetic counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vsrc.compressor.networks.layers.counting import gmac_per_lr_pixel, parameter_count, shape_twin


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


class Tied(nn.Module):
    """Two layers with one weight, and a buffer of integers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3)
        self.second.weight = self.first.weight
        self.norm = nn.BatchNorm2d(4)


def test_a_twin_has_every_shape_and_copies_no_weight() -> None:
    network = Tied().double()
    twin = shape_twin(network)
    assert isinstance(twin, Tied)
    assert all(tensor.is_meta for tensor in twin.state_dict().values())
    shapes = {key: tensor.shape for key, tensor in network.state_dict().items()}
    assert {key: tensor.shape for key, tensor in twin.state_dict().items()} == shapes
    assert twin.second.weight is twin.first.weight
    assert twin.first.weight.dtype == torch.float32
    assert twin.norm.get_buffer("num_batches_tracked").dtype == torch.int64
    assert network.training
    assert not twin.training
    assert not any(tensor.is_meta for tensor in network.state_dict().values())
