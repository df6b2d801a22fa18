"""Load the network of a model package, with its weights.

A package may come from anywhere. Names of the table are harmless; any other name would
run code chosen by the package, with arguments chosen by it: `os:system` is a function, too. So
such a package is opened only if the user allows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from torch import nn

from vsrc.compressor.networks.checkpoints.checkpoint_file import read_weights
from vsrc.compressor.networks.image.spandrel_image import PACKED, SPANDREL, recognise
from vsrc.compressor.networks.loading.weights import load_weights
from vsrc.compressor.networks.table import NETWORKS, make_network
from vsrc.runtime.errors import MismatchError, SpecError
from vsrc.runtime.package import Package
from vsrc.runtime.spec import Argument


@runtime_checkable
class Collapsible(Protocol):
    """A network with training-time branches that can be merged."""

    def collapsed(self) -> nn.Module:
        """Return a copy without the branches, equal to rounding."""


def from_package(package: Package, *, allow_code: bool = False) -> nn.Module:
    """Load the network as trained (branches not merged), on the CPU, in evaluation mode.

    Args:
        package: An opened package.
        allow_code: Whether it may name a network outside the table.

    Raises:
        SpecError: The weights are not the ones that the package describes, or it names a network
            outside the table and that is not allowed.
        MismatchError: They do not fit the network that it names.
    """
    network = create_unfilled(package, allow_code=allow_code)
    load_weights(network, package.weights())
    return network.eval()


def create_unfilled(
    package: Package,
    *,
    arguments: Mapping[str, Argument] | None = None,
    allow_code: bool = False,
) -> nn.Module:
    """Build the network that a package names, without loading its weights.

    Args:
        package: An opened package.
        arguments: Arguments of the constructor; they override those of the package.
        allow_code: Whether it may name a network outside the table.

    Raises:
        SpecError: It names a network outside the table and that is not allowed.
        ValueError: No such network or argument.
    """
    name = package.spec.network.name
    if name.startswith("onnx:"):
        raise MismatchError(
            f"{package.path} was packed from an ONNX graph, which torch cannot train or trace; "
            "give the checkpoint that the graph was made from"
        )
    if name not in (*NETWORKS, PACKED) and not allow_code:
        raise SpecError(
            f"{package.path} names a network outside the table, {name!r}: building it runs code "
            "chosen by the package; if you trust where the package comes from, add --allow-code"
        )
    chosen = {**package.spec.network.arguments, **(arguments or {})}
    if name != PACKED and not name.startswith(SPANDREL):
        return make_network(name, chosen, spec=package.spec.network)
    # The architecture is read from the package's own weights: the original file may be gone.
    state = read_weights(package.weights())
    inner = {key.removeprefix("network."): tensor for key, tensor in state.items()}
    taps = {key: str(chosen.get(key, "")) for key in ("hr_features", "stages")}
    return recognise(inner, path="" if name == PACKED else name.removeprefix(SPANDREL), **taps)


def to_deployed(network: nn.Module) -> nn.Module:
    """Return the deployed form: training branches merged where a network has any."""
    if isinstance(network, Collapsible):
        return network.collapsed().eval()
    return network.eval()
