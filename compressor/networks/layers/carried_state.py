"""Networks that carry a state from frame to frame.

    state t-1 ─┐
    frames ────┴─ step ─┬─ SR of t
                        └─ state t          zero at the start of each shot

`spec.state` names the maps of the state. A network of one's own needs no more than a `forward` that
takes the maps after the frames and returns them after the result:

    def forward(self, lr, hidden=None):
        ...
        return sr, hidden
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from vsrc.compressor.networks.layers.counting import shape_twin
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.spec import NetworkSpec, StateSpec

StateTensors = tuple[Tensor, ...]
"""Maps `(N, C, H / stride, W / stride)`, in the order of `spec.state`."""


@runtime_checkable
class SteppedNetwork(Protocol):
    """A network with a state whose `forward` takes frames alone."""

    def step(self, lr: Tensor, /, *state: Tensor) -> tuple[Tensor, ...]:
        """Upscale one frame.

        Args:
            lr: Window of the spec's length, `(N, T, 3, H, W)`; `(N, 3, H, W)` where T = 1.
            state: State after the frame before, or zeros.

        Returns:
            The upscaled frame, `(N, 3, sH, sW)`, not clipped, then the next state.
        """


def run_step(network: nn.Module, lr: Tensor, state: StateTensors) -> tuple[Tensor, StateTensors]:
    """Run one step of a network with a state; see `SteppedNetwork.step`.

    Args:
        network: A `SteppedNetwork`, or one whose `forward` takes and returns the state.
        lr: Window, `(N, T, 3, H, W)`.
        state: State after the frame before.

    Raises:
        MismatchError: It does not return the result and as many maps as it takes.
    """
    step = network.step if isinstance(network, SteppedNetwork) else network
    given = step(lr[:, 0] if lr.shape[1] == 1 else lr, *state)
    if not isinstance(given, (tuple, list)) or len(given) != 1 + len(state):
        raise MismatchError(
            f"{type(network).__name__} takes {len(state)} maps of state and does not return as "
            "many; expected (sr, *state)"
        )
    return given[0], tuple(given[1:])


def zero_state(spec: NetworkSpec, lr: Tensor) -> StateTensors:
    """State at the start of a shot.

    Args:
        spec: Spec of the network.
        lr: Frames `(N, ..., H, W)`, for their number, size, type and device.
    """
    height, width = lr.shape[-2:]
    return tuple(lr.new_zeros(each.shape(height, width, count=len(lr))) for each in spec.state)


def with_state(network: nn.Module, spec: NetworkSpec) -> NetworkSpec:
    """Complete a spec that names no state by what `forward` of the network takes and returns.

    Raises:
        MismatchError: `forward` returns maps of unequal or fractional size.
    """
    if spec.state or isinstance(network, SteppedNetwork):
        return spec
    names = _optional_inputs(network)
    if not names:
        return spec
    side = 16 * spec.size_multiple
    shape = (1, 3, side, side) if spec.window == 1 else (1, spec.window, 3, side, side)
    try:
        with torch.no_grad():
            given = shape_twin(network)(torch.empty(shape, device="meta"))
    except RuntimeError:  # its other arguments are no state
        return spec
    if not isinstance(given, (tuple, list)) or len(given) != 1 + len(names):
        return spec
    found = [_describe(name, map_, side) for name, map_ in zip(names, given[1:], strict=True)]
    return replace(spec, state=tuple(found))


def _optional_inputs(network: nn.Module) -> Sequence[str]:
    """Names of the arguments of `forward` after the first, if all of them are None by default."""
    _, *others = inspect.signature(network.forward).parameters.values() or [None]
    optional = all(
        other is not None
        and other.default is None
        and other.kind in (other.POSITIONAL_ONLY, other.POSITIONAL_OR_KEYWORD)
        for other in others
    )
    return [other.name for other in others if other is not None] if optional else []


def _describe(name: str, map_: Tensor, side: int) -> StateSpec:
    if map_.dim() != 4 or map_.shape[2] != map_.shape[3] or side % map_.shape[2]:
        raise MismatchError(
            f"state {name} has shape {tuple(map_.shape)} for a frame of {side}x{side}; expected "
            "(1, C, h, w) whose sides are integer fractions of the frame's"
        )
    return StateSpec(name, map_.shape[1], side // map_.shape[2])
