"""Parameters and multiply-accumulates of a network."""

from __future__ import annotations

import copy
from itertools import chain

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def parameter_count(network: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def gmac_per_lr_pixel(network: nn.Module, *, window: int | None = None, channels: int = 3) -> float:
    """Multiply-accumulates of one forward pass per pixel of the LR frame, in 1e9.

    Counted on the meta device, at two sizes; the difference leaves out what
    does not grow with the frame, such as merging the branches of a training-time block.

    Args:
        network: Network with input `(1, T, C, H, W)`, or `(1, C, H, W)` when `window` is None.
        window: Frames fed at once.
        channels: Channels of a frame.
    """
    shape = (1, channels) if window is None else (1, window, channels)
    twin = shape_twin(network)
    small, large = (_macs(twin, (*shape, 64, width)) for width in (64, 128))
    return (large - small) / (64 * 64) / 1e9


def shape_twin(network: nn.Module) -> nn.Module:
    """Return a copy on the meta device in evaluation mode; the weights are not copied."""
    tensors = chain(network.parameters(), network.buffers())
    # Memo of deepcopy: objects listed here are not copied.
    return copy.deepcopy(network, {id(tensor): _shape_of(tensor) for tensor in tensors}).eval()


def _shape_of(tensor: Tensor) -> Tensor:
    dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
    shape = torch.empty_like(tensor, dtype=dtype, device="meta")
    return nn.Parameter(shape, requires_grad=False) if isinstance(tensor, nn.Parameter) else shape


def _macs(twin: nn.Module, shape: tuple[int, ...]) -> float:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        twin(torch.empty(shape, device="meta"))
    return float(counter.get_total_flops()) / 2
