"""Quantisation-aware training: the student computes as its int8 graph will.

    x ── int8 ──┐                 Convolutions read inputs and kernels that int8 can hold; what they
                conv ── y         give stays float until the next one reads it, as in the graph that
    w ── int8 ──┘                 `vsrc export --precision int8` writes (calibration/qdq.py).

Steps of activations are trained with the weights. The student itself is not modified: its weights
keep their names, and outside of `applied` it computes in float.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from vsrc.calibration.calibration_file import QAT, Calibration
from vsrc.compressor.features.taps import unwrap
from vsrc.compressor.training.fake_quant import activation_levels, best_range, weight_levels


@runtime_checkable
class Merging(Protocol):
    """A module of branches that merge into one convolution."""

    def kernel(self) -> Tensor:
        """Kernel of the merged convolution."""

    def bias(self) -> Tensor:
        """Bias of the merged convolution."""

    def convolved(self, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve the input with a kernel."""


class Quantiser(nn.Module):
    """Ranges of the inputs of a network's convolutions, and fake quantisation with them.

    Args:
        network: Network in its training form.
        float_layers: Paths of convolutions that stay float; None for the first and the last one,
            where int8 costs the most quality and saves the least time, and for the offsets of
            deformable convolutions, which are positions.

    Raises:
        ValueError: A path that is not a convolution of the network, or no convolution is left.
    """

    log_ranges: nn.Parameter
    seen: Tensor
    signed: Tensor
    outputs: Tensor

    def __init__(self, network: nn.Module, float_layers: Sequence[str] | None = None) -> None:
        super().__init__()
        paths = convolution_paths(network)
        chosen = edges(paths) if float_layers is None else tuple(float_layers)
        if wrong := [path for path in chosen if path not in paths]:
            raise ValueError(f"no convolution {wrong[0]!r}; expected some of {', '.join(paths)}")
        self.float_layers = chosen
        self.paths = tuple(path for path in paths if path not in chosen)
        if not self.paths:
            raise ValueError(f"no convolution is left to be int8: {', '.join(paths)} stay float")
        count = len(self.paths)
        self.log_ranges = nn.Parameter(torch.zeros(count))
        self.register_buffer("seen", torch.zeros(count, dtype=torch.bool))
        self.register_buffer("signed", torch.zeros(count, dtype=torch.bool))
        self.register_buffer("outputs", torch.zeros(count, 2))
        self._begun: set[int] = set()

    @contextmanager
    def applied(self, network: nn.Module) -> Iterator[None]:
        """Let a network of the same layout compute with int8 values, emulated in float."""
        inner = unwrap(network)
        modules = [inner.get_submodule(path) for path in self.paths]
        for index, module in enumerate(modules):
            module.forward = partial(self._convolve, index, module)
        try:
            yield
        finally:
            for module in modules:
                del module.forward  # the method of the class applies again

    def calibration(self, *, weights_sha256: str) -> Calibration:
        """Trained ranges, for the package."""
        tops = self.log_ranges.detach().exp().tolist()
        signs = self.signed.tolist()
        ranges = {
            path: (-top if signed else 0.0, top)
            for path, top, signed in zip(self.paths, tops, signs, strict=True)
        }
        outputs = {
            path: (float(low), float(high))
            for path, (low, high) in zip(self.paths, self.outputs.tolist(), strict=True)
        }
        return Calibration(
            method=QAT,
            ranges=ranges,
            outputs=outputs,
            float_layers=self.float_layers,
            weights_sha256=weights_sha256,
        )

    def _convolve(self, index: int, module: nn.Module, x: Tensor) -> Tensor:
        # Whole numbers up to 128 are exact in bfloat16, a multiple of a step would be rounded: the
        # convolution takes the whole numbers, and its sums are multiplied by the steps in float32.
        dtype = _compute_dtype(x.device.type)
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            if index not in self._begun:  # read once: `seen` may be on another device
                self._begin(index, x)
            levels, step = activation_levels(x, self.log_ranges[index], dtype)
            bias: Tensor | None
            convolve: Callable[[Tensor, Tensor, Tensor | None], Tensor]
            if isinstance(module, Merging):
                kernel, bias, convolve = module.kernel(), module.bias(), module.convolved
            else:
                assert isinstance(module, nn.Conv2d)
                kernel, bias, convolve = module.weight, module.bias, module._conv_forward
            kernel_levels, steps = weight_levels(kernel)
            sums = convolve(levels, kernel_levels.to(dtype), None)
            scale = (steps * step).view(-1, 1, 1)
            if bias is None:
                y = sums.float() * scale
            else:
                y = torch.addcmul(bias.view(-1, 1, 1), sums.float(), scale)
        if torch.is_grad_enabled():
            self._note(index, x, y)
        return y

    @torch.no_grad()
    def _begin(self, index: int, x: Tensor) -> None:
        """Initialise a range from the first tensor; all processes use the same one."""
        self._begun.add(index)
        if self.seen[index]:
            return  # already set in a resumed run
        value = torch.tensor(math.log(best_range(x)), device=x.device)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(value)
            value /= torch.distributed.get_world_size()
        self.log_ranges[index] = value
        self.seen[index] = True

    @torch.no_grad()
    def _note(self, index: int, x: Tensor, y: Tensor) -> None:
        self.signed[index] |= x.amin() < 0
        low, high = torch.aminmax(y)
        self.outputs[index, 0] = torch.minimum(self.outputs[index, 0], low)
        self.outputs[index, 1] = torch.maximum(self.outputs[index, 1], high)


def _compute_dtype(device: str) -> torch.dtype:
    """Type that convolutions compute in: bfloat16 where autocast asks for it, else float32.

    In float16 the sums of products of whole numbers would overflow.
    """
    asked = torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device)
    return torch.bfloat16 if asked == torch.bfloat16 else torch.float32


def convolution_paths(network: nn.Module) -> tuple[str, ...]:
    """Paths of the convolutions of the deployed network, in order of definition."""
    paths: list[str] = []
    for path, module in unwrap(network).named_modules():
        inside = any(path.startswith(f"{other}.") for other in paths)
        if not inside and isinstance(module, (nn.Conv2d, Merging)):
            paths.append(path)
    return tuple(paths)


def edges(paths: Sequence[str]) -> tuple[str, ...]:
    """Convolutions that stay float by default: first, last, and offsets."""
    offsets = (path for path in paths if path.endswith("conv_offset"))
    return tuple(dict.fromkeys((paths[0], *offsets, paths[-1])))
