"""Fake quantisation: float values that int8 can represent, with straight-through gradients.

Activations: a trained step for each tensor (LSQ, Esser et al., ICLR 2020, section 2), symmetric.
The gradient reaches the step from the rounding error inside the range and from what is clipped
outside it. Weights: one step for each output channel, from the largest weight of the channel, as in
the graph.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vsrc.calibration.qdq import LEVELS

_CANDIDATES = 20
_SAMPLE = 1 << 16


def activation_levels(x: Tensor, log_range: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Quantise a tensor to the whole numbers that its int8 values are.

    Args:
        x: Any shape, float32.
        log_range: Natural logarithm of the value that the largest int8 stands for; trainable.
        dtype: Of the levels. Bfloat16 holds each of them exactly.

    Returns:
        Levels from -128 to 127, and the step, a scalar that they are multiples of.
    """
    # Its gradient is a sum over all values: LSQ scales it, section 2.2.
    share = 1 / math.sqrt(x.numel() * LEVELS)
    log_range = log_range * share + (log_range * (1 - share)).detach()
    step = log_range.exp() / LEVELS
    clipped = F.hardtanh(x * (1 / step), -LEVELS - 1, LEVELS)
    return _straight_through(clipped, clipped.detach().round()).to(dtype), step


def weight_levels(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Quantise a kernel, `(O, I, kh, kw)` float32, to whole numbers from -127 to 127.

    Returns:
        Levels, of the kernel's shape, and steps, `(O,)`.
    """
    steps = weight.detach().abs().amax(dim=(1, 2, 3)) / LEVELS
    steps = steps.clamp_min(torch.finfo(steps.dtype).tiny)
    scaled = weight / steps.view(-1, 1, 1, 1)
    return _straight_through(scaled, scaled.detach().round()), steps


def fake_activation(x: Tensor, log_range: Tensor) -> Tensor:
    """Fake-quantise a tensor.

    Args:
        x: Any shape, float32.
        log_range: Natural logarithm of the value that the largest int8 stands for; trainable.
    """
    levels, step = activation_levels(x, log_range, x.dtype)
    return levels * step


def _straight_through(value: Tensor, rounded: Tensor) -> Tensor:
    """Return `rounded` with the gradient of `value`."""
    return value + (rounded - value.detach())


def best_range(x: Tensor) -> float:
    """Return the range with the least squared error among fractions of the largest value.

    Args:
        x: Any shape; large tensors are sampled.
    """
    values = x.detach().float().flatten()
    values = values[:: max(1, values.numel() // _SAMPLE)]
    largest = float(values.abs().max())
    if largest == 0:
        return 1.0  # all zero; any range works
    ranges = [largest * (at + 1) / _CANDIDATES for at in range(_CANDIDATES)]
    errors = [
        float((values - fake_activation(values, torch.tensor(math.log(top)))).square().sum())
        for top in ranges
    ]
    return ranges[errors.index(min(errors))]
