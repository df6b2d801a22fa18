from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from vsrc.compressor.networks import create
from vsrc.compressor.networks.layers.counting import parameter_count
from vsrc.compressor.networks.video.vespcn import LARGEST_FLOW, Motion, Vespcn

MOTION = {1: 53_392, 3: 59_392}


@pytest.mark.parametrize(
    ("channels", "scale", "parameters"),
    [
        (3, 2, 435_651),
        (3, 3, 620_291),
        (3, 4, 878_787),
        (1, 2, 425_041),
        (1, 3, 609_681),
        (1, 4, 868_177),
    ],
)
def test_the_residual_one_is_as_large_as_its_ports(
    channels: int, scale: int, parameters: int
) -> None:
    assert parameter_count(Vespcn(scale=scale, channels=channels)) == parameters


@pytest.mark.parametrize(
    ("scale", "layers", "parameters"),
    [
        (4, 5, 19_768), (4, 7, 30_184), (4, 9, 40_600),
        (2, 5, 17_164), (2, 7, 27_580), (2, 9, 37_996),
        (3, 5, 18_249), (3, 7, 28_665), (3, 9, 39_081),
    ],
)  # fmt: skip
def test_the_plain_one_is_as_large_as_the_papers(scale: int, layers: int, parameters: int) -> None:
    network = Vespcn(scale=scale, channels=1, body="plain", layers=layers)
    assert parameter_count(network) == parameters + MOTION[1]


@pytest.mark.parametrize("channels", [1, 3])
def test_the_motion_net_is_as_large_as_its_ports(channels: int) -> None:
    assert parameter_count(Motion(channels)) == MOTION[channels]


def test_both_neighbours_are_warped_by_the_same_motion_net() -> None:
    torch.manual_seed(0)
    network = Vespcn().eval()
    frames = torch.rand(1, 3, 3, 8, 8)
    with torch.no_grad():
        forth, back = network.compensate(frames), network.compensate(frames.flip(1))
    torch.testing.assert_close(forth.flip(1), back)
    assert torch.equal(forth[:, 1], frames[:, 1])


def test_flow_is_bounded_and_starts_near_zero() -> None:
    torch.manual_seed(0)
    motion = Motion(3)
    frames = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    assert motion(*frames).abs().max() < 0.5
    for weight in motion.parameters():
        torch.nn.init.normal_(weight, std=10)
    flow = motion(*frames)
    assert flow.shape == (2, 2, 16, 16)
    assert LARGEST_FLOW < flow.abs().max() <= 2 * LARGEST_FLOW


def test_motion_is_learnt_from_a_shift() -> None:
    torch.manual_seed(0)
    texture = F.interpolate(torch.rand(1, 3, 12, 12), scale_factor=4.0, mode="bicubic")
    centre, neighbour = texture[..., 8:40, 8:40], texture[..., 8:40, 6:38]
    frames = torch.stack((neighbour, centre, neighbour), dim=1)
    network = Vespcn()
    optimiser = torch.optim.Adam(network.motion.parameters(), lr=1e-3)

    def distance() -> torch.Tensor:
        return (network.compensate(frames)[:, 0] - centre).abs().mean()

    before = distance().item()
    for _ in range(60):
        optimiser.zero_grad()
        loss = distance()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    flow = network.motion(centre, neighbour)[..., 4:-4, 4:-4]
    assert distance().item() < 0.4 * before
    assert abs(flow[:, 0].mean().item() - 2) < 0.6  # what was 2 pixels left lies 2 to the right


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 2}, "channels=2 "),
        ({"body": "dense"}, "body='dense' .*plain"),
        ({"body": "plain", "layers": 1}, "layers=1 .* 2"),
    ],
)
def test_arguments_it_cannot_have_are_refused(
    arguments: dict[str, int | str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        create("vespcn", **arguments)
