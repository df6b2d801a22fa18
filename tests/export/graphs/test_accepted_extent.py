"""The smallest frames of a network, found by running it."""

from __future__ import annotations

import pytest
import torch.nn.functional as F
from torch import Tensor, nn

from vsrc.export.graphs.accepted_extent import accepted_extent
from vsrc.export.shape_range import shape_range_of
from vsrc.runtime.spec import NetworkSpec


class Reflecting(nn.Module):
    """Reflects so many pixels at each border, which torch refuses of frames that small."""

    def __init__(self, border: int) -> None:
        super().__init__()
        self.border = border

    def forward(self, lr: Tensor) -> Tensor:
        """Map `(N, 3, H, W)` to `(N, 3, 2H, 2W)`."""
        padded = F.pad(lr, [self.border] * 4, "reflect")
        height, width = lr.shape[-2:]
        inside = padded[..., self.border : self.border + height, self.border : self.border + width]
        return F.interpolate(inside, scale_factor=2.0)


class Padding(Reflecting):
    """Takes any size, but in a graph."""

    least_side = 30


def spec_of_multiples(multiple: int) -> NetworkSpec:
    return NetworkSpec(
        name="own:reflecting",
        arguments={},
        scale=2,
        window=1,
        halo=0,
        parameters=0,
        gmac_per_lr_pixel=0.0,
        size_multiple=multiple,
    )


@pytest.mark.parametrize(
    ("border", "multiple", "expected"),
    [(0, 1, 2), (1, 1, 2), (5, 1, 8), (18, 1, 32), (18, 12, 24), (18, 24, 24), (400, 1, 2)],
)
def test_the_range_begins_where_the_network_computes(
    border: int, multiple: int, expected: int
) -> None:
    extent = shape_range_of((), multiple=multiple)
    found = accepted_extent(Reflecting(border), spec_of_multiples(multiple), extent)
    assert found.height == found.width == (expected, extent.height[1])
    assert found.batch == extent.batch


def test_a_network_may_say_to_what_it_pads_small_frames_itself() -> None:
    found = accepted_extent(Padding(0), spec_of_multiples(4), shape_range_of((), multiple=4))
    assert found.height[0] == 32
