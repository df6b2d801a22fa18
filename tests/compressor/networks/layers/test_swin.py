from __future__ import annotations

import pytest
import torch

from vsrc.compressor.networks.layers.swin import SwinBlock, SwinBody, WindowAttention


def _may_attend(rows: int, columns: int) -> torch.Tensor:
    """Whether two pixels of a shifted window were neighbours, `(windows, 64, 64)`, one by one.

    A picture moved up and left by 4 pixels has at its bottom what was at the top, and such a pixel
    must not attend to one that was not moved around.
    """
    allowed = torch.zeros(rows * columns, 64, 64, dtype=torch.bool)
    for window in range(rows * columns):
        sides = []
        for token in range(64):
            y = window // columns * 8 + token // 8
            x = window % columns * 8 + token % 8
            sides.append((y + 4 >= 8 * rows, x + 4 >= 8 * columns))
        for i in range(64):
            for j in range(64):
                allowed[window, i, j] = sides[i] == sides[j]
    return allowed


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 3), (2, 1), (4, 4), (5, 2)])
def test_masks_forbid_pixels_from_opposite_edges(rows: int, columns: int) -> None:
    masks = SwinBlock(12, heads=2, shifted=True)._mask(rows, columns)
    allowed = _may_attend(rows, columns)
    assert (masks[allowed] == 0).all()
    assert (masks[~allowed] == -100).all()


def test_attention_is_the_formula_written_out() -> None:
    torch.manual_seed(0)
    layer = WindowAttention(12, heads=3).double()
    torch.nn.init.normal_(layer.relative_position_bias_table)
    x, mask = torch.randn(2, 3, 64, 12).double(), torch.randn(3, 64, 64).double()
    qkv = layer.qkv(x)
    mixed = torch.zeros_like(x)
    for head in range(3):
        q, k, v = (qkv[..., 12 * i + 4 * head : 12 * i + 4 * head + 4] for i in range(3))
        bias = torch.zeros(64, 64).double()
        for i in range(64):
            for j in range(64):
                down, right = i // 8 - j // 8 + 7, i % 8 - j % 8 + 7
                bias[i, j] = layer.relative_position_bias_table[15 * down + right, head]
        scores = torch.softmax(q @ k.transpose(-2, -1) / 2 + bias + mask, dim=-1)
        mixed[..., 4 * head : 4 * head + 4] = scores @ v
    torch.testing.assert_close(layer(x, mask=mask), layer.proj(mixed))


def test_an_unshifted_window_sees_itself_alone() -> None:
    torch.manual_seed(0)
    block = SwinBlock(12, heads=2, shifted=False)
    x = torch.randn(1, 16, 24, 12, requires_grad=True)
    (gradient,) = torch.autograd.grad(block(x)[0, 3, 11].sum(), x)
    seen = gradient.abs().sum((0, 3)) > 0
    assert seen[:8, 8:16].all()
    assert seen.sum() == 64


def test_a_shifted_window_lies_across_four_others() -> None:
    torch.manual_seed(0)
    block = SwinBlock(12, heads=2, shifted=True)
    x = torch.randn(1, 16, 16, 12, requires_grad=True)
    (gradient,) = torch.autograd.grad(block(x)[0, 5, 11].sum(), x)
    seen = gradient.abs().sum((0, 3)) > 0
    assert seen[4:12, 4:12].all()
    assert seen.sum() == 64


def test_body_keeps_the_shape() -> None:
    body = SwinBody(8, embedded=12, heads=2, groups=2, depth=2)
    assert body(torch.rand(2, 8, 8, 16)).shape == (2, 8, 8, 16)
