"""Recognise the network of the table that weights belong to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vsrc.compressor.networks.checkpoints.renaming import AdaptsCheckpoint
from vsrc.compressor.networks.table import create, names
from vsrc.runtime.spec import Argument, NetworkSpec

SCALES = (4, 2, 3, 8, 1)
_WORTH_NAMING = 0.5
"""Minimum share of fitting tensors for a network to be named."""


@dataclass(frozen=True)
class Likeness:
    """How well tensors fit one call of `create`, as shares of all tensors of either side.

    Attributes:
        shapes: Tensors that agree in name and shape.
        names: Tensors that agree in name.
        call: Call of `create`, as text.
    """

    shapes: float
    names: float
    call: str


def describe_nearest(state: Mapping[str, Tensor], network: nn.Module) -> str:
    """Describe the call of `create` that the weights fit best, for an error message.

    The network itself at other scales comes first, then every network of the table.

    Args:
        state: Tensors by name.
        network: Network they were meant for.
    """
    best = Likeness(0.0, 0.0, "")
    for likeness in _likenesses(state, network):
        if likeness.shapes > best.shapes:
            best = likeness
        if best.shapes == 1.0:
            return f"They fit {best.call}"
    if best.shapes < _WORTH_NAMING:
        return f"No network of the table is similar; expected one of: {', '.join(names())}"
    return f"The nearest is {best.call}: {best.shapes:.0%} of the tensors fit"


def _likenesses(state: Mapping[str, Tensor], network: nn.Module) -> Iterator[Likeness]:
    spec = getattr(network, "spec", None)
    if isinstance(spec, NetworkSpec):
        for scale in SCALES:
            yield from _compare(state, spec.name, {**spec.arguments, "scale": scale})
    for name in names():
        for scale in SCALES:
            likeness = next(_compare(state, name, {"scale": scale}), None)
            if likeness is None:
                continue
            yield likeness
            if likeness.names < _WORTH_NAMING:
                break  # scale changes shapes and the names of a few layers, not most of them


def _compare(
    state: Mapping[str, Tensor], name: str, arguments: dict[str, Argument]
) -> Iterator[Likeness]:
    """Yield one likeness; none if the network does not exist at this scale."""
    try:
        with torch.device("meta"):  # shapes only: EDSR alone would fill 170 MB
            candidate = create(name, **arguments)
    except (ValueError, TypeError, RuntimeError, NotImplementedError, OSError):
        return
    if isinstance(candidate, AdaptsCheckpoint):
        try:
            state = candidate.adapt_checkpoint(dict(state))
        except Exception:
            return
    own: dict[str, Tensor] = candidate.state_dict()
    common = own.keys() & state.keys()
    fitting = [key for key in common if own[key].shape == state[key].shape]
    everything = max(len(own.keys() | state.keys()), 1)
    yield Likeness(len(fitting) / everything, len(common) / everything, _call(name, arguments))


def _call(name: str, arguments: dict[str, Argument]) -> str:
    listed = "".join(f", {key}={value!r}" for key, value in arguments.items())
    return f"create({name!r}{listed})"
