"""The measured receptive field, against kernels of known size."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsrc.compressor.networks.layers.receptive_field import Halo, find_halo


class Chain(nn.Module):
    """Kernels one after another, then enlargement; the second may work in place.

    Args:
        in_place: Whether it writes over a part of its input, which then has no gradient.
    """

    def __init__(self, *, in_place: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.in_place = in_place
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 7, padding=3)
        self.tail = nn.Conv2d(8, 12, 1)

    def forward(self, lr: Tensor) -> Tensor:
        x = self.first(lr).exp()  # its gradient needs its output
        if self.in_place:
            x[:, :4] = self.second(x[:, :4])
        else:
            x = torch.cat((self.second(x[:, :4]), x[:, 4:]), dim=1)
        return F.pixel_shuffle(self.tail(x), 2)


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("multiple", [1, 4])
def test_halo_is_what_kernels_reach(in_place: bool, multiple: int) -> None:
    network = Chain(in_place=in_place).eval()
    found = find_halo(network, window=1, scale=2, size_multiple=multiple)
    assert found == Halo(1 + 3, is_exact=True)


def test_the_chain_in_place_has_no_gradient() -> None:
    lr = torch.rand(1, 3, 16, 16, requires_grad=True)
    with pytest.raises(RuntimeError, match="inplace operation"):
        Chain(in_place=True)(lr).sum().backward()


class Pooling(nn.Module):
    """A network that sees the whole frame, and counts how often it is run."""

    def __init__(self) -> None:
        super().__init__()
        self.runs = 0

    def forward(self, lr: Tensor) -> Tensor:
        self.runs += 1
        return lr * lr.mean((2, 3), keepdim=True)


def test_a_field_that_fills_the_frame_is_seen_on_one_frame_of_each_size() -> None:
    """Attention over 160x160 pixels takes minutes on a busy core."""
    network = Pooling().eval()
    assert not find_halo(network, window=1, scale=1).is_exact
    assert network.runs == 3
