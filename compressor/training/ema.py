"""Exponential moving average of weights, which scores better than the last weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class Ema:
    """Exponential moving average.

    The decay rises with the number of updates, `min(decay, (1 + n) / (10 + n))`, so that
    the average of a short run does not depend on the random initial weights.

    Args:
        network: Network to average; it is copied.
        decay: Weight of the old average at each update; 0 for no averaging.
    """

    def __init__(self, network: nn.Module, *, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"{decay=} must lie in [0, 1)")
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Update the average with the current weights; buffers are copied."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        own: list[Tensor] = list(self.network.parameters())
        new: list[Tensor] = list(network.parameters())
        torch._foreach_lerp_(own, new, 1 - decay)
        for mine, other in zip(self.network.buffers(), network.buffers(), strict=True):
            mine.copy_(other)
        self.updates += 1
