"""Find the taps of a network that declares none, by watching one forward pass."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vsrc.compressor.networks.layers.receptive_field import random_frames


@dataclass(frozen=True)
class FoundTaps:
    """Taps, as in `NetworkSpec`."""

    hr_features: str | None
    stages: tuple[str, ...]


@dataclass(frozen=True)
class _Call:
    """A call of a module that returned a feature map."""

    path: str
    module: nn.Module
    read: tuple[int, ...]
    gave: tuple[int, ...]
    shape: tuple[int, ...]


def find_taps(network: nn.Module, *, window: int, scale: int, size_multiple: int) -> FoundTaps:
    """Find the features before the last convolution at output size, and those of each block.

    `hr_features` is the module whose output the last convolution reads, if that is a feature at
    output size; stages are the members of the longest list of modules that give one feature map of
    the frame's size each.

    Args:
        network: Network in evaluation mode, on the CPU.
        window: Frames fed at once.
        scale: SR/LR side ratio.
        size_multiple: Divisor of H and W.
    """
    side = -(-24 // size_multiple) * size_multiple
    calls: list[_Call] = []
    with ExitStack() as hooks, torch.no_grad():
        kept: list[object] = []  # so that no address is used twice
        for path, module in network.named_modules():
            if path:
                handle = module.register_forward_hook(_recorder(calls, kept, path))
                hooks.callback(handle.remove)
        network(random_frames(window, height=side, width=side))
    return FoundTaps(_before_last(calls, side * scale), _blocks(calls, side))


def _recorder(calls: list[_Call], kept: list[object], path: str):  # type: ignore[no-untyped-def]  # noqa: ANN202  torch's type of hooks
    def record(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        read = inputs[0] if inputs else None
        if isinstance(output, Tensor) and isinstance(read, Tensor):
            kept.extend((read, output))
            calls.append(_Call(path, module, _place(read), _place(output), tuple(output.shape)))

    return record


def _place(tensor: Tensor) -> tuple[int, ...]:
    return (tensor.data_ptr(), *tensor.shape)


def _before_last(calls: list[_Call], side: int) -> str | None:
    convolved = [call for call in calls if isinstance(call.module, (nn.Conv2d, nn.ConvTranspose2d))]
    if not convolved or convolved[-1].read[-2:] != (side, side) or convolved[-1].read[1] != 1:
        return None
    read = convolved[-1].read
    return next((call.path for call in calls if call.gave == read), None)


def _blocks(calls: list[_Call], side: int) -> tuple[str, ...]:
    groups: dict[str, list[str]] = {}
    for call in calls:
        parent, _, index = call.path.rpartition(".")
        is_map = call.shape[:1] + call.shape[2:] == (1, side, side)
        if index.isdigit() and is_map and any(True for _ in call.module.parameters()):
            paths = groups.setdefault(parent, [])
            if call.path not in paths:
                paths.append(call.path)
    longest = max(groups.values(), key=len, default=[])
    if longest:
        return tuple(longest)
    # No list of blocks: every convolution of the frame's size stands for a stage, less the last.
    convolved = [
        call.path
        for call in calls
        if isinstance(call.module, nn.Conv2d) and call.shape[:1] + call.shape[2:] == (1, side, side)
    ]
    return tuple(dict.fromkeys(convolved[:-1]))
