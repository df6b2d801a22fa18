from __future__ import annotations

import pytest
import torch
from torch import nn

from vsrc.compressor.networks import create
from vsrc.compressor.networks.layers.bicubic import BicubicUpscale
from vsrc.compressor.networks.layers.counting import parameter_count
from vsrc.compressor.networks.video.vsrnet import SymmetricFusion, Vsrnet


@pytest.mark.parametrize(
    ("window", "fusion", "parameters"),
    [
        (5, "symmetric", 272_577),
        (3, "symmetric", 164_929),
        (3, "early", 67_649),
        (5, "early", 78_017),
    ],
)
def test_parameter_counts_are_the_published_ones(window: int, fusion: str, parameters: int) -> None:
    assert parameter_count(Vsrnet(window=window, fusion=fusion)) == parameters


def test_frames_as_far_before_as_after_share_their_filters() -> None:
    torch.manual_seed(0)
    fusion = SymmetricFusion(5, 1)
    features = fusion(torch.rand(1, 1, 1, 9, 9).expand(1, 5, 1, 9, 9)).unflatten(1, (5, 64))
    assert torch.equal(features[:, 0], features[:, 4])
    assert torch.equal(features[:, 1], features[:, 3])
    assert not torch.allclose(features[:, 1], features[:, 2])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("fusion", ["symmetric", "early"])
def test_with_filters_that_pass_the_centre_it_is_the_bicubic(channels: int, fusion: str) -> None:
    network = Vsrnet(scale=3, channels=channels, fusion=fusion).eval()
    for weight in network.parameters():
        nn.init.zeros_(weight)
    centre = 2  # of five frames
    early = fusion == "early"
    conv1 = network.fusion.get_parameter("conv.weight" if early else "by_distance.0.weight")
    with torch.no_grad():
        for c in range(channels):
            conv1[c, centre * channels + c if early else c, 4, 4] = 1
            network.conv2.weight[c, c if early else centre * 64 + c, 2, 2] = 1
            network.conv3.weight[c, c, 2, 2] = 1
    frames = 0.2 + 0.6 * torch.rand(1, 5, 3, 6, 7)  # bicubic overshoot stays above 0 for ReLU
    with torch.no_grad():
        expected = BicubicUpscale(3, 3)(frames[:, centre])
        torch.testing.assert_close(network(frames), expected, rtol=0, atol=1e-5)


def test_unknown_fusion_is_refused() -> None:
    with pytest.raises(ValueError, match=r"fusion='late' .*early"):
        create("vsrnet", fusion="late")
