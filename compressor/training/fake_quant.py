"""Fake quantisation: float values that int8 can represent, with straight-through gradients.

Activations: a trained step for each tensor (LSQ, Esser et al., ICLR 2020, section 2), symmetric.
The gradient reaches the step from the rounding error inside the range and from what is clipped
outside it. Weights: one step for each output channel, from the largest weight of the channel, as in
the graph.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vsrc.calibration.qdq import LEVELS

_CANDIDATES = 20
_SAMPLE = 1 << 16


def fake_activation(x: Tensor, log_range: Tensor) -> Tensor:
    """Fake-quantise a tensor.

    Args:
        x: Any shape, float32.
        log_range: Natural logarithm of the value that the largest int8 stands for; trainable.
    """
    # Its gradient is a sum over all values: LSQ scales it, section 2.2.
    share = 1 / math.sqrt(x.numel() * LEVELS)
    log_range = log_range * share + (log_range * (1 - share)).detach()
    step = log_range.exp() / LEVELS
    scaled = (x / step).clamp(-LEVELS - 1, LEVELS)
    return (scaled + (scaled.round() - scaled).detach()) * step


def fake_weight(weight: Tensor) -> Tensor:
    """Fake-quantise a kernel, `(O, I, kh, kw)` float32."""
    step = weight.detach().abs().amax(dim=(1, 2, 3)) / LEVELS
    step = step.clamp_min(torch.finfo(step.dtype).tiny)
    zero = torch.zeros_like(step, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, step, zero, 0, -LEVELS, LEVELS)


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
