from __future__ import annotations

import pytest
import torch
from torch import nn

from vsrc.compressor.training.ema import Ema


def test_the_average_is_the_formula() -> None:
    network = nn.Linear(1, 1, bias=False)
    values = [0.0, 1.0, 5.0, -2.0]
    network.weight.data.fill_(values[0])
    ema = Ema(network, decay=0.15)
    expected = values[0]
    for update, value in enumerate(values[1:]):
        network.weight.data.fill_(value)
        ema.update(network)
        decay = min(0.15, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * value
        assert ema.network.state_dict()["weight"].item() == pytest.approx(expected)


def test_buffers_are_copied_and_the_network_is_not_shared() -> None:
    network = nn.BatchNorm2d(2)
    ema = Ema(network, decay=0.9)
    network(torch.rand(4, 2, 3, 3))
    assert ema.network.num_batches_tracked == 0
    ema.update(network)
    assert ema.network.num_batches_tracked == 1
    assert torch.equal(
        ema.network.state_dict()["running_mean"], network.state_dict()["running_mean"]
    )


def test_decay_must_be_below_one() -> None:
    with pytest.raises(ValueError, match=r"decay=1\.0 .*\[0, 1\)"):
        Ema(nn.Linear(1, 1), decay=1.0)
