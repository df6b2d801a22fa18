"""The network of a model package, with its weights."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import nn

from vsrc.compressor.networks.table import create
from vsrc.compressor.networks.weights import load_weights
from vsrc.runtime.package import Package


@runtime_checkable
class Collapsible(Protocol):
    """A network with training-time branches that can be merged."""

    def collapsed(self) -> nn.Module:
        """A copy without the branches; the same function to rounding."""


def from_package(package: Package) -> nn.Module:
    """The network as it was taught (branches not yet merged), on the CPU, in evaluation mode.

    Raises:
        SpecError: The weights are not the ones that the package describes.
        MismatchError: They do not fit the network that it names.
    """
    spec = package.spec.network
    network = create(spec.name, **spec.arguments)
    load_weights(network, package.weights())
    return network.eval()


def deployed(network: nn.Module) -> nn.Module:
    """The form that runs on a device: training branches merged where a network has any."""
    if isinstance(network, Collapsible):
        return network.collapsed().eval()
    return network.eval()
