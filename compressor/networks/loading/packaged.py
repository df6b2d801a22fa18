"""The network of a model package, with its weights.

A package may come from anywhere. Names of the table are harmless; any other name would have code of
this machine run that the package chose, with arguments that it chose: `os:system` is a function,
too. So such a package is opened only where the user says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from torch import nn

from vsrc.compressor.networks.checkpoints.checkpoint_file import read_weights
from vsrc.compressor.networks.image.spandrel_image import SPANDREL, recognise
from vsrc.compressor.networks.loading.weights import load_weights
from vsrc.compressor.networks.table import NETWORKS, create
from vsrc.runtime.errors import SpecError
from vsrc.runtime.package import Package
from vsrc.runtime.spec import Argument


@runtime_checkable
class Collapsible(Protocol):
    """A network with training-time branches that can be merged."""

    def collapsed(self) -> nn.Module:
        """A copy without the branches; the same function to rounding."""


def from_package(package: Package, *, allow_code: bool = False) -> nn.Module:
    """The network as it was taught (branches not yet merged), on the CPU, in evaluation mode.

    Args:
        package: An opened package.
        allow_code: It may name a network outside the table.

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
    """The network that a package names, before its weights are loaded.

    Args:
        package: An opened package.
        arguments: For the constructor; these go before those of the package.
        allow_code: It may name a network outside the table.

    Raises:
        SpecError: It names one and that is not allowed.
        ValueError: No such network or argument.
    """
    name = package.spec.network.name
    if name not in NETWORKS and not allow_code:
        raise SpecError(
            f"{package.path} names a network outside the table, {name!r}: making it runs code that "
            "the package chose; if you trust where the package comes from, add --allow-code"
        )
    chosen = {**package.spec.network.arguments, **(arguments or {})}
    if not name.startswith(SPANDREL):
        return create(name, **chosen)
    # Its architecture is found in the package's own weights: the file they began as may be gone.
    state = read_weights(package.weights())
    inner = {key.removeprefix("network."): tensor for key, tensor in state.items()}
    taps = {key: str(chosen.get(key, "")) for key in ("hr_features", "stages")}
    return recognise(inner, path=name.removeprefix(SPANDREL), **taps)


def to_deployed(network: nn.Module) -> nn.Module:
    """The form that runs on a device: training branches merged where a network has any."""
    if isinstance(network, Collapsible):
        return network.collapsed().eval()
    return network.eval()
