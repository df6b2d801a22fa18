"""Int8 as float: numbers that int8 can hold, with gradients that pass through the rounding.

Activations: a learned step for each tensor (LSQ, Esser et al., ICLR 2020, section 2), symmetric.
The gradient reaches the step from the rounding error inside the range and from what is clipped
outside it. Weights: one step for each output channel, from the largest weight of the channel, as
the graph has it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vsrc.calibration.qdq import LEVELS

_CANDIDATES = 20
_SAMPLE = 1 << 16


def fake_activation(x: Tensor, log_range: Tensor) -> Tensor:
    """What is left of a tensor after int8.

    Args:
        x: Any shape, float32.
        log_range: Natural logarithm of the value that the largest int8 stands for; it learns.
    """
    # As many gradients add up in it as there are values: LSQ scales them, section 2.2.
    share = 1 / math.sqrt(x.numel() * LEVELS)
    log_range = log_range * share + (log_range * (1 - share)).detach()
    step = log_range.exp() / LEVELS
    scaled = (x / step).clamp(-LEVELS - 1, LEVELS)
    return (scaled + (scaled.round() - scaled).detach()) * step


def fake_weight(weight: Tensor) -> Tensor:
    """What is left of a kernel, `(O, I, kh, kw)` float32, after int8."""
    step = weight.detach().abs().amax(dim=(1, 2, 3)) / LEVELS
    step = step.clamp_min(torch.finfo(step.dtype).tiny)
    zero = torch.zeros_like(step, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, step, zero, 0, -LEVELS, LEVELS)


def best_range(x: Tensor) -> float:
    """The range with the least squared error among shares of the largest value.

    Args:
        x: Any shape; a sample of it is looked at when it is large.
    """
    values = x.detach().float().flatten()
    values = values[:: max(1, values.numel() // _SAMPLE)]
    largest = float(values.abs().max())
    if largest == 0:
        return 1.0  # nothing was seen; any range holds it
    ranges = [largest * (at + 1) / _CANDIDATES for at in range(_CANDIDATES)]
    errors = [
        float((values - fake_activation(values, torch.tensor(math.log(top)))).square().sum())
        for top in ranges
    ]
    return ranges[errors.index(min(errors))]
