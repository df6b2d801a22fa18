"""What a network needs of its frames is found by running it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from vsrc.compressor.features.taps import spec_of
from vsrc.compressor.networks import create
from vsrc.compressor.networks.layers.measured_spec import measure_spec
from vsrc.runtime.spec import Argument


class Window(nn.Module):
    """Three frames, a list of blocks, features at output size before the last convolution."""

    window = 3

    def __init__(self, *, scale: int = 2, pooled: bool = False) -> None:
        super().__init__()
        self.pooled = pooled
        self.head = nn.Conv2d(9, 6, 3, padding=1)
        self.blocks = nn.ModuleList([nn.Conv2d(6, 6, 3, padding=1) for _ in range(3)])
        self.up = nn.Sequential(nn.Conv2d(6, 4 * scale**2, 1), nn.PixelShuffle(scale))
        self.last = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        x = self.head(lr.flatten(1, 2))
        for block in self.blocks:
            x = x + block(x)
        if self.pooled:
            x = x * x.mean(dim=(2, 3), keepdim=True)
        sr: Tensor = self.last(self.up(x))
        return sr


class Halves(nn.Module):
    """Works at half the size, so takes even sizes only."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 2, stride=2)
        self.up = nn.Sequential(nn.Conv2d(8, 12, 1), nn.PixelShuffle(2))

    def forward(self, lr: Tensor) -> Tensor:
        sr: Tensor = lr + self.up(self.down(lr))
        return sr


def test_a_window_network_is_described() -> None:
    torch.manual_seed(0)
    network = Window()
    spec = measure_spec(network, name="mine")
    assert (spec.window, spec.scale, spec.size_multiple) == (3, 2, 1)
    assert (spec.halo, spec.halo_is_exact) == (5, True)  # four 3x3, and one of half a pixel
    assert spec.parameters == sum(each.numel() for each in network.parameters())
    macs = 9 * 6 * 9 + 3 * 6 * 6 * 9 + 6 * 16 + 4 * (4 * 3 * 9)
    assert spec.gmac_per_lr_pixel == pytest.approx(macs / 1e9)
    assert spec.hr_features == "up.1"
    assert spec.stages == ("blocks.0", "blocks.1", "blocks.2")
    assert network.training


def test_pooling_over_the_frame_is_no_exact_halo() -> None:
    torch.manual_seed(0)
    spec = measure_spec(Window(pooled=True), name="mine")
    assert not spec.halo_is_exact
    assert spec.halo >= 5


def test_sizes_that_are_refused_give_the_multiple() -> None:
    spec = measure_spec(Halves(), name="mine")
    assert (spec.size_multiple, spec.scale, spec.window) == (2, 1, 1)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("etds", {"features": 8, "blocks": 2}),
        ("fsrcnn", {"scale": 3, "features": 8, "shrunk": 4, "maps": 2}),
        ("imdn-rtc", {"blocks": 2}),
        ("edge", {"encoded": 3, "features": 5, "blocks": 2, "window": 3}),
    ],
)
def test_what_is_measured_is_what_the_table_says(name: str, arguments: dict[str, Argument]) -> None:
    torch.manual_seed(0)
    network = create(name, **arguments).eval()
    declared = spec_of(network)
    found = measure_spec(network, name=name, window=declared.window)
    for field in ("scale", "window", "halo", "halo_is_exact", "gmac_per_lr_pixel"):
        assert getattr(found, field) == pytest.approx(getattr(declared, field)), field


def test_a_network_that_gives_no_picture_is_named() -> None:
    with pytest.raises(ValueError, match=r"returns \(1, 3, 62, 94\) for frames of 64x96"):
        measure_spec(nn.Conv2d(3, 3, 3), name="conv")
    with pytest.raises(ValueError, match="upscales by 1, but scale=2 was given"):
        measure_spec(nn.Conv2d(3, 3, 3, padding=1), name="conv", scale=2)
    with pytest.raises(ValueError, match=r"fails on frames \(1, 3, H, W\).*--window"):
        measure_spec(nn.Conv2d(9, 3, 3, padding=1), name="conv")
