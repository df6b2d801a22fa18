from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsrc.compressor.networks.video.fastdvdnet import Block, DenBlock, FastDvdNet


def _make(scale: int = 4) -> FastDvdNet:
    """A network whose batch normalisations have seen something, in evaluation mode."""
    torch.manual_seed(0)
    network = FastDvdNet(scale=scale)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.get_buffer("running_mean"), -0.1, 0.1)
            nn.init.uniform_(module.get_buffer("running_var"), 0.5, 1.5)
    return network.eval()


def _official_step() -> DenBlock:
    """One step of the released denoiser: RGB and a noise map thrice in, what is removed out."""
    to_frame = nn.Sequential(
        nn.Conv2d(32, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 3, 3, padding=1, bias=False),
    )
    return DenBlock(4, Block(*to_frame))


def test_step_has_the_official_size() -> None:
    assert sum(p.numel() for p in _official_step().parameters()) == 1_239_548


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("inc.convblock.0.weight", (90, 4, 3, 3)),
        ("inc.convblock.3.weight", (32, 90, 3, 3)),
        ("downc0.convblock.0.weight", (64, 32, 3, 3)),
        ("downc1.convblock.3.convblock.3.weight", (128, 128, 3, 3)),
        ("upc2.convblock.1.weight", (256, 128, 3, 3)),
        ("upc1.convblock.0.convblock.0.weight", (64, 64, 3, 3)),
        ("outc.convblock.1.running_var", (32,)),
        ("outc.convblock.3.weight", (3, 32, 3, 3)),
    ],
)
def test_step_has_the_official_names(key: str, shape: tuple[int, ...]) -> None:
    assert _official_step().state_dict()[key].shape == shape


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(8, 12), (1, 5), (13, 10)])
def test_any_size_is_enlarged(scale: int, size: tuple[int, int]) -> None:
    with torch.no_grad():
        sr = _make(scale)(torch.rand(2, 5, 3, *size))
    assert sr.shape == (2, 3, scale * size[0], scale * size[1])
    assert torch.isfinite(sr).all()


def test_a_triple_computed_once_serves_every_window_it_is_in() -> None:
    network = _make(2)
    clip = torch.rand(1, 7, 3, 8, 12)
    with torch.no_grad():
        triples = [network.encode(clip[:, i : i + 3])[0] for i in range(5)]
        for start in range(3):
            window = torch.stack(triples[start : start + 3], dim=1)
            fused = network.fuse((window,), clip[:, start + 2])
            whole = network(clip[:, start : start + 5])
            torch.testing.assert_close(fused, whole, rtol=1e-5, atol=1e-5)


def test_it_starts_near_the_enlarged_centre_frame() -> None:
    network = FastDvdNet().eval()
    nn.init.zeros_(network.conv_last.weight)
    assert network.conv_last.bias is not None
    nn.init.zeros_(network.conv_last.bias)
    lr = torch.rand(1, 5, 3, 8, 8)
    expected = F.interpolate(lr[:, 2], scale_factor=4, mode="bilinear", align_corners=False)
    with torch.no_grad():
        torch.testing.assert_close(network(lr), expected)


def test_hr_features_are_the_32_maps_before_the_last_convolution() -> None:
    network = _make(3)
    seen: dict[str, Tensor] = {}
    assert network.spec.hr_features is not None
    tap = network.get_submodule(network.spec.hr_features)
    tap.register_forward_hook(lambda *call: seen.update(features=call[2]))
    network.conv_last.register_forward_pre_hook(lambda _, args: seen.update(last=args[0]))
    with torch.no_grad():
        network(torch.rand(1, 5, 3, 8, 12))
    assert seen["features"].shape == (1, 32, 24, 36)
    assert seen["features"] is seen["last"]


@pytest.mark.parametrize("scale", [2, 4])
def test_halo_is_the_receptive_field(scale: int) -> None:
    network = _make(scale).double()
    for parameter in network.parameters():
        nn.init.uniform_(parameter, 0.01, 0.02)  # positive: no path is cut by a ReLU
    halo, reach = network.spec.halo, 0
    for centre in range(halo + 1, halo + 5):  # each place in a 4x4 cell
        lr = torch.rand(1, 5, 3, 2 * halo + 6, 8, dtype=torch.float64, requires_grad=True)
        pixels = network(lr)[..., scale * centre : scale * (centre + 1), :]
        (gradient,) = torch.autograd.grad(pixels.sum(), lr)
        rows = gradient.sum((0, 1, 2, 4)).nonzero()
        reach = max(reach, centre - int(rows.min()), int(rows.max()) - centre)
    assert reach == halo


def test_a_step_lowers_the_loss_and_reaches_every_weight() -> None:
    torch.manual_seed(0)
    network = FastDvdNet(scale=2)
    lr, hr = torch.rand(2, 5, 3, 16, 16), torch.rand(2, 3, 32, 32)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    before = F.mse_loss(network(lr), hr)
    before.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    optimiser.step()
    assert F.mse_loss(network(lr), hr) < before
