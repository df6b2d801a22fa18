from __future__ import annotations

import pytest
import torch
from skimage.color import rgb2ycbcr

from vsrc.compressor.networks.layers.bicubic import BicubicUpscale
from vsrc.compressor.networks.layers.luma import LumaPath


def test_luma_and_chroma_are_those_of_matlab() -> None:
    torch.manual_seed(0)
    rgb = torch.rand(2, 3, 5, 6, dtype=torch.float64)
    luma, chroma = LumaPath(2).double().split(rgb)
    expected = torch.from_numpy(rgb2ycbcr(rgb.numpy(), channel_axis=1)) / 255
    torch.testing.assert_close(torch.cat((luma, chroma), 1), expected, rtol=0, atol=1e-7)


def test_black_and_white_are_16_and_235() -> None:
    ends = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1).expand(2, 3, 1, 1)
    luma = LumaPath(2).luma(ends) * 255
    assert luma.flatten().tolist() == pytest.approx([16.0, 235.0], abs=1e-4)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_joined_with_its_own_enlarged_luma_it_is_the_enlarged_picture(scale: int) -> None:
    torch.manual_seed(0)
    rgb = torch.rand(1, 3, 6, 5)
    path = LumaPath(scale)
    luma, chroma = path.split(rgb)
    joined = path.join(BicubicUpscale(1, scale)(luma), chroma)
    torch.testing.assert_close(joined, BicubicUpscale(3, scale)(rgb), rtol=0, atol=1e-5)


def test_of_a_window_only_the_centre_gives_its_chroma() -> None:
    torch.manual_seed(0)
    frames = torch.rand(2, 5, 3, 4, 4)
    path = LumaPath(2)
    luma, chroma = path.split_window(frames)
    assert luma.shape == (2, 5, 1, 4, 4)
    torch.testing.assert_close(chroma, path.split(frames[:, 2])[1])
    torch.testing.assert_close(luma[:, 4], path.luma(frames[:, 4]))
