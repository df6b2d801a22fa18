"""Write a network, trained or not, as a package."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from vsrc.compressor.features.taps import spec_of
from vsrc.compressor.results import write_weights
from vsrc.runtime.package import new_folder, write_spec
from vsrc.runtime.spec import ModelSpec, NetworkSpec


def write_package(network: nn.Module, path: Path, spec: NetworkSpec | None = None) -> Path:
    """Write a network as a package without graphs; `spec` overrides the network's own."""
    with new_folder(path, overwrite=True) as folder:
        weights = write_weights(folder, network)
        write_spec(folder, ModelSpec(spec or spec_of(network), weights, degradation="bi"))
    return path
