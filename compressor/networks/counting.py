"""Size and arithmetic of a network."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def parameter_count(network: nn.Module) -> int:
    """Number of trainable numbers."""
    return sum(parameter.numel() for parameter in network.parameters())


def gmac_per_lr_pixel(network: nn.Module, *, window: int | None = None, channels: int = 3) -> float:
    """Multiply-accumulates of one forward pass, in 1e9, for each pixel of the LR frame.

    Counted on shapes alone (no arithmetic is done), at two sizes; the difference leaves out what
    does not grow with the picture, such as merging the branches of a training-time block.

    Args:
        network: Takes `(1, T, C, H, W)`, or `(1, C, H, W)` when `window` is None.
        window: Frames fed at once.
        channels: Channels of a frame.
    """
    shape = (1, channels) if window is None else (1, window, channels)
    small, large = (_macs(network, (*shape, 64, width)) for width in (64, 128))
    return (large - small) / (64 * 64) / 1e9


def _macs(network: nn.Module, shape: tuple[int, ...]) -> float:
    twin = copy.deepcopy(network).to("meta", torch.float32).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        twin(torch.empty(shape, device="meta"))
    return float(counter.get_total_flops()) / 2
