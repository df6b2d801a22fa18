from __future__ import annotations

import pytest
import torch

from vsrc.compressor.networks import create
from vsrc.compressor.networks.layers.mean_shift import MeanShift
from vsrc.compressor.networks.loading.weights import load_state
from vsrc.runtime.errors import MismatchError


def published_shift(rgb_range: float) -> dict[str, torch.Tensor]:
    mean = rgb_range * torch.tensor([0.4488, 0.4371, 0.4040])
    unit = torch.eye(3).reshape(3, 3, 1, 1)
    return {
        "sub_mean.weight": unit,
        "sub_mean.bias": -mean,
        "add_mean.weight": unit,
        "add_mean.bias": mean,
    }


def test_the_mean_colour_of_div2k_becomes_zero_and_comes_back() -> None:
    shift = MeanShift(255)
    mean = torch.tensor([0.4488, 0.4371, 0.4040]).reshape(1, 3, 1, 1)
    assert shift.enter(mean).abs().max() < 1e-4
    assert shift.enter(mean + 1 / 255).sub(1).abs().max() < 1e-4
    torch.testing.assert_close(shift.leave(shift.enter(mean)), mean)


@pytest.mark.parametrize("rgb_range", [1.0, 255.0])
def test_a_checkpoint_of_the_same_range_loses_its_shift(rgb_range: float) -> None:
    network = create("edsr", blocks=1, features=8, rgb_range=rgb_range)
    load_state(network, {**network.state_dict(), **published_shift(rgb_range)}, where="here")


def test_a_checkpoint_of_another_range_is_refused() -> None:
    network = create("edsr", blocks=1, features=8)
    with pytest.raises(MismatchError, match=r"sub_mean\.bias .*rgb_range=1"):
        load_state(network, {**network.state_dict(), **published_shift(1.0)}, where="here")
