from __future__ import annotations

import numpy as np
import pytest
import torch

from vsrc.compressor.networks.layers.bicubic import BicubicUpscale
from vsrc.runtime.picture.bicubic import resize_matrix, upscale


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (2, 3), (3, 2), (9, 7)])
def test_it_is_the_two_matrix_products_of_matlab(scale: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    picture = torch.rand(2, 3, *size, dtype=torch.float64)
    rows, columns = (
        torch.from_numpy(resize_matrix(side, numerator=scale, denominator=1).copy())
        for side in size
    )
    enlarged = BicubicUpscale(3, scale).double()(picture)
    # The kernel is kept in float32.
    torch.testing.assert_close(enlarged, rows @ picture @ columns.T, rtol=0, atol=1e-6)


def test_it_keeps_a_parabola_which_only_a_half_does() -> None:
    # Keys' kernel reproduces quadratics for a = -0.5 and for no other a (Keys 1981, section III).
    def parabola(x: torch.Tensor) -> torch.Tensor:
        return 0.5 * x**2 - 3 * x + 1

    lr = parabola(torch.arange(12.0)).expand(1, 1, 12, 12)
    hr = parabola((torch.arange(48) + 0.5) / 4 - 0.5).expand(1, 1, 48, 48)
    inner = slice(8, -8)
    enlarged = BicubicUpscale(1, 4)(lr)[..., inner, inner]
    torch.testing.assert_close(enlarged, hr[..., inner, inner], rtol=1e-5, atol=1e-5)
    other = torch.nn.functional.interpolate(lr, scale_factor=4.0, mode="bicubic")
    assert (other[..., inner, inner] - hr[..., inner, inner]).abs().max() > 1e-2


def test_rounded_it_is_the_picture_that_the_runtime_makes() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (10, 13, 3), dtype=np.uint8)
    lr = torch.from_numpy(picture).permute(2, 0, 1)[None].double()
    enlarged = BicubicUpscale(3, 4).double()(lr)[0].permute(1, 2, 0)
    # 0.5 of a step for the rounding, and a little for the kernel in float32
    expected = torch.from_numpy(upscale(picture, 4)).double()
    assert (enlarged.clamp(0, 255) - expected).abs().max() < 0.5001


def test_it_adds_nothing_to_the_weights() -> None:
    assert not BicubicUpscale(3, 2).state_dict()
