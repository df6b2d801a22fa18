"""The average of a network's last weights, which restores better than the very last ones."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class Ema:
    """Exponential moving average.

    The decay rises with the number of updates, `min(decay, (1 + n) / (10 + n))`, so that a short
    run does not end with an average that still remembers the random start.

    Args:
        network: Network that is averaged; it is copied.
        decay: Share of the average that stays at each update; 0 follows the network at once.
    """

    def __init__(self, network: nn.Module, *, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"{decay=} must lie in [0, 1)")
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the weights as they are now; buffers are copied."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        own: list[Tensor] = list(self.network.parameters())
        new: list[Tensor] = list(network.parameters())
        torch._foreach_lerp_(own, new, 1 - decay)
        for mine, other in zip(self.network.buffers(), network.buffers(), strict=True):
            mine.copy_(other)
        self.updates += 1
