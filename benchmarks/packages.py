"""Packages of networks that nobody taught here."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file
from torch import nn

from vsrc.runtime.package import WEIGHTS_FILE, describe, new_folder, write_spec
from vsrc.runtime.spec import ModelSpec, NetworkSpec


def write_package(network: nn.Module, path: Path) -> None:
    """Write a network as it is, without graphs."""
    with new_folder(path, overwrite=False) as folder:
        weights = {key: value.contiguous() for key, value in network.state_dict().items()}
        save_file(weights, folder / WEIGHTS_FILE)
        entry = describe(folder, WEIGHTS_FILE)
        write_spec(folder, ModelSpec(network=spec_of(network), weights=entry, degradation="bi"))


def spec_of(network: nn.Module) -> NetworkSpec:
    """What every network of vsrc says of itself."""
    spec = network.spec
    assert isinstance(spec, NetworkSpec)
    return spec
