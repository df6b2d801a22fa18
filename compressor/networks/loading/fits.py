"""Find the networks of the table that weights fit to the last tensor."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vsrc.compressor.networks.checkpoints.renaming import AdaptsCheckpoint
from vsrc.compressor.networks.loading.recognition import SCALES
from vsrc.compressor.networks.loading.variants import Arguments, read_clues, variants
from vsrc.compressor.networks.loading.weights import list_differences, without_prefix
from vsrc.compressor.networks.table import create, names
from vsrc.runtime.spec import NetworkSpec

logger = logging.getLogger(__name__)

_ALIKE = 0.6
"""Share of the names, without their numbers, from which arguments are tried."""


@dataclass(frozen=True)
class Fit:
    """A call of `create` whose network takes all tensors of a file, and no others.

    Attributes:
        name: Name in the table.
        arguments: Arguments of `create`, with the scale.
    """

    name: str
    arguments: Arguments

    @property
    def scale(self) -> int:
        """SR/LR side ratio."""
        return int(self.arguments["scale"])

    def __str__(self) -> str:
        own = [f"{key}={value}" for key, value in self.arguments.items() if key != "scale"]
        return f"{self.name} x{self.scale}" + (f" ({', '.join(own)})" if own else "")


def find_fits(
    state: Mapping[str, Tensor], *, among: Iterable[str] | None = None, scale: int | None = None
) -> list[Fit]:
    """List the networks that the tensors fit exactly; of equal ones the first.

    Several scales are listed where the weights do not depend on the scale, as a deconvolution's.

    Args:
        state: Tensors by name, in any layout that `load_weights` accepts.
        among: Names of the table to try; None for all.
        scale: SR/LR side ratio; None for all.
    """
    found: dict[object, Fit] = {}
    # `edge` is every size of its family: a named size says more.
    for name in sorted(names() if among is None else among, key=lambda name: name == "edge"):
        for fit, network in _fits_of(name, state, SCALES if scale is None else (scale,)):
            shapes = tuple((key, tuple(own.shape)) for key, own in network.state_dict().items())
            found.setdefault((type(network), fit.scale, shapes), fit)
    return list(found.values())


def _fits_of(
    name: str, state: Mapping[str, Tensor], scales: Iterable[int]
) -> Iterator[tuple[Fit, nn.Module]]:
    scales = tuple(scales)
    if not _is_alike(name, state):
        return
    for arguments in variants(name, read_clues(_bare(state))):
        fitting = []
        for scale in scales:
            network = _on_meta(name, {**arguments, "scale": scale})
            if network is not None and _takes(network, state):
                own = getattr(network, "spec", None)
                complete = own.arguments if isinstance(own, NetworkSpec) else arguments
                fitting.append((Fit(name, {**complete, "scale": scale}), network))
        yield from fitting
        if fitting:
            return


def _is_alike(name: str, state: Mapping[str, Tensor]) -> bool:
    network = next(filter(None, (_on_meta(name, {"scale": scale}) for scale in SCALES)), None)
    if network is None:
        return False
    own = {_without_numbers(key) for key in network.state_dict()}
    given = {_without_numbers(key) for key in _adapted(network, state)}
    return len(own & given) >= _ALIKE * max(len(own | given), 1)


def _without_numbers(key: str) -> str:
    return re.sub(r"\d+", "#", key)


def _takes(network: nn.Module, state: Mapping[str, Tensor]) -> bool:
    return not list_differences(_adapted(network, state), network.state_dict())


def _adapted(network: nn.Module, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Rename tensors as `load_weights` does; unchanged where they are of another layout."""
    weights = without_prefix(state, network.state_dict())
    if not isinstance(network, AdaptsCheckpoint):
        return weights
    try:
        return network.adapt_checkpoint(weights)
    except Exception as error:  # tensors of another network may have any name and shape
        logger.debug("%s does not adapt these weights: %s", type(network).__name__, error)
        return weights


def _bare(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    return without_prefix(state, {})


def _on_meta(name: str, arguments: Arguments) -> nn.Module | None:
    """Build a network without memory for its weights; None if it takes no such arguments."""
    try:
        with torch.device("meta"):
            return create(name, **arguments)
    except (ValueError, TypeError, RuntimeError, NotImplementedError, OSError, IndexError):
        return None
    except (ArithmeticError, AssertionError):  # an argument read from other weights, as 0
        return None
