"""Initialise a larger `edge` with the function of a smaller, trained one.

Net2Net (Chen et al., ICLR 2016, section 2) for a chain of convolutions and ReLU: new
channels of a wider layer are random, but the weights that read them are zero; new blocks of a
deeper body are identities, which ReLU leaves unchanged. The first step already trains the new
weights, as the weights that read them have a gradient. No channel is duplicated, so no noise is
needed to break symmetry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple

import torch
from torch import Tensor

from vsrc.compressor.networks.loading.weights import load_state
from vsrc.compressor.networks.video.edge import Edge, build_edge, identity_kernel
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.latency.edge_size import EdgeSize


def grow(network: Edge, state: Mapping[str, Tensor], *, where: str) -> None:
    """Make a fresh network compute the outputs of a smaller one, to rounding.

    Args:
        network: Fresh network; its additional channels keep their random weights.
        state: Weights of an `edge` of the same scale and window, at most as wide and deep, merged
            or not.
        where: Name of the weights in messages.

    Raises:
        MismatchError: The weights are of another network, or larger.
    """
    small = build_edge(
        _size_of(state, where), scale=network.scale, window=network.window, name="the smaller edge"
    )
    load_state(small, state, where=where)
    if not _holds(network.size, small.size):
        raise MismatchError(
            f"{where} is an edge of {small.size} (encoded x features x blocks), which does not fit "
            f"into {network.name} of {network.size}; expected one that is at most as large in "
            "each, with an encoder only where that has one"
        )
    trained = _deepen(small.collapsed().state_dict(), small.size, blocks=network.size.blocks)
    fresh = network.collapsed().state_dict()
    for plain in (trained, fresh):
        # Features of a frame lie together: (O, T * encoded, 3, 3) to (O, T, encoded, 3, 3).
        plain["fusion.weight"] = plain["fusion.weight"].unflatten(1, (network.window, -1))
    grown = {key: _place_first(wide, trained[key]) for key, wide in fresh.items()}
    grown["fusion.weight"] = grown["fusion.weight"].flatten(1, 2)
    load_state(network, grown, where=where)


def _deepen(trained: Mapping[str, Tensor], size: EdgeSize, *, blocks: int) -> dict[str, Tensor]:
    """Append identity blocks up to the wanted number."""
    passing = {"weight": identity_kernel(size.features), "bias": torch.zeros(size.features)}
    further = range(size.blocks, blocks)
    return {**trained, **{f"body.{n}.{part}": passing[part] for n in further for part in passing}}


def _place_first(wide: Tensor, trained: Tensor) -> Tensor:
    """Place trained weights first; their weights for additional inputs are zero.

    Args:
        wide: Fresh weights, `(O, ...)`, kept where there are no trained ones.
        trained: Trained weights; same number of axes, none longer.
    """
    placed = wide.clone()
    outputs = len(trained)
    placed[:outputs] = 0.0
    placed[tuple(slice(length) for length in trained.shape)] = trained
    return placed


def _size_of(state: Mapping[str, Tensor], where: str) -> EdgeSize:
    blocks = {key.split(".")[1] for key in state if key.startswith("body.")}
    if not blocks or "tail.weight" not in state or state["tail.weight"].dim() != 4:
        raise MismatchError(f"{where} holds no weights of an edge, and only those can grow")
    encoded = len(state.get("encoder.weight", ()))
    return EdgeSize(encoded, state["tail.weight"].shape[1], len(blocks))


def _holds(large: EdgeSize, small: EdgeSize) -> bool:
    if bool(large.encoded) != bool(small.encoded):
        return False
    pairs = zip(astuple(large), astuple(small), strict=True)
    return all(more >= less for more, less in pairs)
