from __future__ import annotations

import torch

from vsrc.compressor.networks.layers.warp import warp


def test_whole_pixels_shift_and_the_edge_repeats() -> None:
    picture = torch.rand(2, 3, 4, 5)
    flow = torch.zeros(2, 2, 4, 5)
    flow[:, 0], flow[:, 1] = 2, -1  # each pixel is fetched from 2 to the right and 1 above
    rows, columns = torch.tensor([0, 0, 1, 2]), torch.tensor([2, 3, 4, 4, 4])
    expected = picture[:, :, rows][..., columns]
    torch.testing.assert_close(warp(picture, flow), expected, rtol=0, atol=1e-5)


def test_half_a_pixel_is_the_mean_of_two() -> None:
    picture = torch.rand(1, 1, 3, 6)
    flow = torch.zeros(1, 2, 3, 6)
    flow[:, 0] = 0.5
    expected = (picture[..., :-1] + picture[..., 1:]) / 2
    torch.testing.assert_close(warp(picture, flow)[..., :-1], expected, rtol=0, atol=1e-5)


def test_each_pixel_has_a_flow_of_its_own() -> None:
    picture = torch.arange(12.0).reshape(1, 1, 3, 4)
    flow = torch.zeros(1, 2, 3, 4)
    flow[0, :, 1, 2] = torch.tensor([-1.0, 1.0])
    moved = warp(picture, flow)
    assert abs(moved[0, 0, 1, 2].item() - picture[0, 0, 2, 1].item()) < 1e-4
    untouched = torch.ones(3, 4, dtype=torch.bool)
    untouched[1, 2] = False
    torch.testing.assert_close(moved[0, 0][untouched], picture[0, 0][untouched])


def test_half_precision_does_not_move_the_right_end_of_a_wide_picture() -> None:
    picture = torch.rand(1, 1, 2, 1281)
    flow = torch.full((1, 2, 2, 1281), 0.25)
    flow[:, 1] = 0
    moved = warp(picture.half(), flow.half())
    assert moved.dtype == torch.float16
    # one rounding to half of the picture, one of the result
    torch.testing.assert_close(moved.float(), warp(picture, flow), rtol=0, atol=1.5e-3)
