from __future__ import annotations

import pytest
import torch
from torch import nn

from vsrc.compressor.features.taps import open_taps, unwrap


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 1)
        self.rest = nn.Sequential(nn.ReLU(), nn.Conv2d(4, 2, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.rest(self.first(x))
        return y


def test_a_tap_is_what_the_module_returns() -> None:
    network, x = Small(), torch.rand(2, 3, 5, 6)
    with open_taps(network, ["first", "rest.0"]) as features:
        network(x)
    assert torch.equal(features["first"], network.first(x))
    assert torch.equal(features["rest.0"], network.first(x).relu())


def test_taps_see_through_a_wrapper() -> None:
    # DataParallel puts "module." before every path, as DistributedDataParallel does, and needs no
    # process group; without a GPU it calls the module it holds.
    network, x = Small(), torch.rand(2, 3, 5, 6)
    wrapped = nn.DataParallel(network)
    assert unwrap(wrapped) is network
    with open_taps(wrapped, ["first"]) as features:
        wrapped(x)
    assert torch.equal(features["first"], network.first(x))


def test_hooks_are_gone_after_the_block() -> None:
    network = Small()
    with open_taps(network, ["first"]) as features:
        pass
    network(torch.rand(1, 3, 4, 4))
    assert not features


def test_an_unknown_path_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"'rest\.5' .*Small.*rest\.0"):
        open_taps(Small(), ["rest.5"]).__enter__()
