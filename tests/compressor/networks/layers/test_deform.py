from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vsrc.compressor.networks.layers.deform import (
    ModulatedDeformConv,
    deform_columns,
    deform_conv2d,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from support.golden import Golden


@pytest.mark.parametrize("case", ["a", "b", "c"])
def test_outputs_and_gradients_are_the_golden_ones(golden: Golden, case: str) -> None:
    stored = golden.tensors("dcn_v2_operator")
    names = ("x", "offset", "mask", "weight", "bias")
    inputs = [stored[f"{case}_{name}"].double().requires_grad_() for name in names]
    stride, padding, dilation, _ = stored[f"{case}_stride_pad_dil_groups"].tolist()
    output = deform_conv2d(*inputs, stride=stride, padding=padding, dilation=dilation)
    gradients = torch.autograd.grad(output, inputs, stored[f"{case}_grad_output"].double())
    # Computed in float64; what is stored was rounded to float32.
    torch.testing.assert_close(output.float(), stored[f"{case}_output"], rtol=1e-6, atol=1e-6)
    for name, gradient in zip(names, gradients, strict=True):
        expected = stored[f"{case}_grad_{name}"]
        torch.testing.assert_close(gradient.float(), expected, rtol=1e-6, atol=2e-6)


def _sample(picture: NDArray[np.float64], y: float, x: float) -> float:
    """Bilinear, zero outside: the four pixels around (y, x), one by one."""
    height, width = picture.shape
    top, left = int(np.floor(y)), int(np.floor(x))
    value = 0.0
    for row in (top, top + 1):
        for column in (left, left + 1):
            if 0 <= row < height and 0 <= column < width:
                value += picture[row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return value


def _slow_deform_conv2d(
    x: NDArray[np.float64],
    offset: NDArray[np.float64],
    mask: NDArray[np.float64],
    weight: NDArray[np.float64],
    *,
    stride: int,
    padding: int,
    dilation: int,
) -> NDArray[np.float64]:
    """One output number after the other, as the formula is written."""
    features, channels, kernel_y, kernel_x = weight.shape
    taps = kernel_y * kernel_x
    per_group = channels // (mask.shape[1] // taps)
    result = np.zeros((x.shape[0], features, *offset.shape[2:]))
    for n, o, row, column in np.ndindex(*result.shape):
        for c, tap in np.ndindex(channels, taps):
            index = c // per_group * taps + tap
            dy, dx = offset[n, 2 * index : 2 * index + 2, row, column]
            y = row * stride - padding + tap // kernel_x * dilation + dy
            across = column * stride - padding + tap % kernel_x * dilation + dx
            seen = _sample(x[n, c], y, across) * mask[n, index, row, column]
            result[n, o, row, column] += weight[o, c, tap // kernel_x, tap % kernel_x] * seen
    return result


@pytest.mark.parametrize(
    ("kernel", "size", "out", "groups", "stride", "padding", "dilation"),
    [
        ((3, 3), (5, 6), (5, 6), 2, 1, 1, 1),
        ((3, 3), (7, 6), (4, 3), 1, 2, 1, 1),
        ((3, 3), (6, 5), (6, 5), 4, 1, 2, 2),
        ((1, 2), (4, 5), (4, 4), 2, 1, 0, 1),
        ((3, 3), (1, 1), (1, 1), 2, 1, 1, 1),
    ],
)
def test_it_is_the_formula_written_out(
    kernel: tuple[int, int],
    size: tuple[int, int],
    out: tuple[int, int],
    groups: int,
    stride: int,
    padding: int,
    dilation: int,
) -> None:
    rng = np.random.default_rng(0)
    masks = groups * kernel[0] * kernel[1]
    x = rng.standard_normal((2, 4, *size))
    offset = rng.normal(0, 2, (2, 2 * masks, *out))
    offset[:, ::3] = offset[:, ::3].round()  # on a pixel, where floor and ceil coincide
    mask = rng.random((2, masks, *out))
    weight = rng.standard_normal((3, 4, *kernel))
    slow = _slow_deform_conv2d(
        x, offset, mask, weight, stride=stride, padding=padding, dilation=dilation
    )
    tensors = (torch.from_numpy(array) for array in (x, offset, mask, weight))
    fast = deform_conv2d(*tensors, stride=stride, padding=padding, dilation=dilation)
    np.testing.assert_allclose(fast.numpy(), slow, rtol=1e-12, atol=1e-12)


def test_without_offsets_it_is_a_convolution() -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(2, 6, 8, 9), torch.randn(4, 6, 3, 3), torch.randn(4)
    still, open_mask = torch.zeros(2, 36, 8, 9), torch.ones(2, 18, 8, 9)
    ours = deform_conv2d(x, still, open_mask, weight, bias, padding=1)
    plain = F.conv2d(x, weight, bias, padding=1)
    # Positions go through [-1, 1] in float32, a few 1e-7 of the width.
    torch.testing.assert_close(ours, plain, rtol=1e-5, atol=2e-5)


def test_columns_hold_what_each_tap_sees() -> None:
    x = torch.arange(20.0).reshape(1, 1, 4, 5)
    still, open_mask = torch.zeros(1, 18, 4, 5), torch.ones(1, 9, 4, 5)
    columns = deform_columns(x, still, open_mask, kernel=(3, 3), padding=1)
    expected = F.unfold(x, 3, padding=1).reshape(1, 9, 4, 5)
    torch.testing.assert_close(columns, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_positions_are_exact_in_half_precision(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    # One pixel black, one white: a position that is off by a third of a pixel is off by a third.
    x = (torch.arange(1280) % 2).expand(1, 1, 4, 1280).to(kind)
    offset = (torch.randint(-8, 9, (1, 18, 4, 1280)) / 4).to(kind)  # held exactly
    open_mask = torch.ones(1, 9, 4, 1280, dtype=kind)
    half = deform_columns(x, offset, open_mask, kernel=(3, 3), padding=1)
    exact = deform_columns(
        x.double(), offset.double(), open_mask.double(), kernel=(3, 3), padding=1
    )
    assert half.dtype == kind
    # What is left is the rounding of the result, 2 ** -8 for a number below 1 in bfloat16.
    torch.testing.assert_close(half.double(), exact, rtol=0, atol=2**-8)


def test_a_fresh_layer_is_half_a_convolution() -> None:
    torch.manual_seed(0)
    layer = ModulatedDeformConv(8, groups=2)
    x, motion = torch.randn(1, 8, 6, 7), torch.randn(1, 8, 6, 7)
    expected = F.conv2d(x, layer.weight / 2, layer.bias, padding=1)
    torch.testing.assert_close(layer(x, motion), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("offsets", "masks"), [(36, 9), (18, 18), (54, 27), (0, 0)])
def test_channels_that_do_not_fit_are_refused(offsets: int, masks: int) -> None:
    x, weight = torch.zeros(1, 4, 5, 5), torch.zeros(4, 4, 3, 3)
    bad: tuple[Tensor, Tensor] = (torch.zeros(1, offsets, 5, 5), torch.zeros(1, masks, 5, 5))
    with pytest.raises(ValueError, match=f"^{offsets} .* {masks} .* 9 taps .* 4 channels"):
        deform_conv2d(x, *bad, weight, padding=1)
