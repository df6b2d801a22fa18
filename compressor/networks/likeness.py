"""Which network of the table do these weights belong to?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from vsrc.compressor.networks.renaming import AdaptsCheckpoint
from vsrc.compressor.networks.table import create, names
from vsrc.runtime.spec import Argument, NetworkSpec

SCALES = (4, 2, 3, 8, 1)
_WORTH_NAMING = 0.5
"""Least share of tensors that must fit before a network is named."""


def nearest(state: Mapping[str, Tensor], network: nn.Module) -> str:
    """A sentence that says which call of `create` the weights fit best, for an error message.

    The network itself at other scales comes first, then every network of the table.

    Args:
        state: Tensors by name.
        network: The network they were meant for.
    """
    best, call = 0.0, ""
    for name, arguments in _candidates(network):
        score = _score(state, name, arguments)
        if score > best:
            best, call = score, _call(name, arguments)
        if best == 1.0:
            return f"They fit {call}"
    if best < _WORTH_NAMING:
        return f"No network of the table comes near; there are: {', '.join(names())}"
    return f"The nearest is {call}: {best:.0%} of the tensors fit"


def _candidates(network: nn.Module) -> Iterator[tuple[str, dict[str, Argument]]]:
    spec = getattr(network, "spec", None)
    if isinstance(spec, NetworkSpec):
        for scale in SCALES:
            yield spec.name, {**spec.arguments, "scale": scale}
    for name in names():
        for scale in SCALES:
            yield name, {"scale": scale}


def _score(state: Mapping[str, Tensor], name: str, arguments: dict[str, Argument]) -> float:
    """Tensors that agree in name and shape, as a share of all tensors of either side."""
    try:
        with torch.device("meta"):  # shapes only: EDSR alone would fill 170 MB
            candidate = create(name, **arguments)
    except (ValueError, TypeError, RuntimeError, NotImplementedError, OSError):
        return 0.0  # there is no such network at this scale, or it cannot be made without data
    if isinstance(candidate, AdaptsCheckpoint):
        state = candidate.adapt_checkpoint(dict(state))
    own: dict[str, Tensor] = candidate.state_dict()
    agree = [key for key in own.keys() & state.keys() if own[key].shape == state[key].shape]
    return len(agree) / max(len(own.keys() | state.keys()), 1)


def _call(name: str, arguments: dict[str, Argument]) -> str:
    listed = "".join(f", {key}={value!r}" for key, value in arguments.items())
    return f"create({name!r}{listed})"
