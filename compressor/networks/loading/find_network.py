"""Find a network by name, package, `module:function` or checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from torch import nn

from vsrc.compressor.features.taps import spec_of
from vsrc.compressor.networks.checkpoints.checkpoint_file import read_weights
from vsrc.compressor.networks.checkpoints.renaming import AdaptsCheckpoint
from vsrc.compressor.networks.loading.growth import grow
from vsrc.compressor.networks.loading.packaged import create_unfilled
from vsrc.compressor.networks.loading.weights import load_weights
from vsrc.compressor.networks.table import create
from vsrc.compressor.networks.video.edge import Edge
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.hashing import file_sha256
from vsrc.runtime.package import open_package
from vsrc.runtime.shipped_models import list_shipped, shipped
from vsrc.runtime.spec import Argument, NetworkSpec

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoundNetwork:
    """A network and its origin.

    Attributes:
        network: Network, with its weights if it has any.
        spec: Spec of the network, with the name by which `create` rebuilds it.
        weights: File that the weights were read from; None for fresh ones.
        weights_sha256: SHA-256 of that file.
    """

    network: nn.Module
    spec: NetworkSpec
    weights: Path | None
    weights_sha256: str | None


def find_network(
    name: str,
    *,
    scale: int,
    weights: Path | None,
    arguments: Mapping[str, Argument],
    weights_as: Literal["whole", "partial", "seed"] = "whole",
    allow_code: bool = False,
) -> FoundNetwork:
    """Build a network and load its weights.

    Args:
        name: Name in the table, `module:function`, `spandrel:FILE`, or path of a package.
        scale: Required SR/LR side ratio.
        weights: Checkpoint; None for a package's own weights, or fresh ones.
        arguments: Arguments of its constructor; a package has its own.
        weights_as: How to use the weights: all, those that fit by name and shape, or as a smaller
            `edge` that the network starts from.
        allow_code: Whether a package may name a network outside the table.

    Raises:
        MismatchError: The network has another scale, or the weights do not fit.
        SpecError: A damaged package, or one that names a network outside the table.
        ValueError: No such network.
    """
    if (Path(name) / "model.json").is_file() or name.endswith(".vsrc"):
        package = open_package(name)
        made_as, weights = package.spec.network.name, weights or package.weights()
        network = create_unfilled(package, arguments=arguments, allow_code=allow_code)
        arguments = {**package.spec.network.arguments, **arguments}
    else:
        # Only networks of the table are sure to take a scale.
        made_as = name
        arguments = arguments if ":" in name else {"scale": scale, **arguments}
        network = create(made_as, **arguments)
    if weights is not None:
        _FILL[weights_as](network, weights)
    spec = spec_of(network)
    if spec.scale != scale:
        raise MismatchError(
            f"{name} upscales by {spec.scale}, not by {scale}: add --set scale={spec.scale}"
        )
    if ":" in made_as:
        spec = replace(spec, name=made_as, arguments=dict(arguments))
    return FoundNetwork(network, spec, weights, None if weights is None else _sha256(weights))


def find_teacher(
    name: str,
    *,
    scale: int,
    weights: Path | None,
    arguments: Mapping[str, Argument],
    allow_code: bool = False,
) -> FoundNetwork:
    """Find a teacher, which must have weights: given, its own, or shipped ones.

    A `module:function` may load its weights itself, so it is not checked.
    """
    if weights is None and name in list_shipped():
        name = str(shipped(name))
    teacher = find_network(
        name, scale=scale, weights=weights, arguments=arguments, allow_code=allow_code
    )
    if teacher.weights is None and ":" not in name:
        raise ValueError(
            f"teacher {name} has no weights: give its checkpoint with "
            "--teacher-weights, or name a package"
        )
    return teacher


def _load_what_fits(network: nn.Module, path: Path) -> None:
    own, weights = network.state_dict(), read_weights(path)
    if isinstance(network, AdaptsCheckpoint):
        weights = network.adapt_checkpoint(weights)
    fitting = {k: v for k, v in weights.items() if k in own and v.shape == own[k].shape}
    if not fitting:
        raise MismatchError(f"{path}: none of its {len(weights)} tensors fits by name and shape")
    logger.info("%s: %d of %d tensors loaded", path, len(fitting), len(weights))
    network.load_state_dict(fitting, strict=False)


def _grow(network: nn.Module, path: Path) -> None:
    if not isinstance(network, Edge):
        raise MismatchError(
            f"{path} cannot be grown into a {type(network).__name__}: only edge networks can; "
            "expected student_weights_as whole or partial"
        )
    grow(network, read_weights(path), where=str(path))


_FILL = {"whole": load_weights, "partial": _load_what_fits, "seed": _grow}


def _sha256(weights: Path) -> str:
    return file_sha256(open_package(weights).weights() if weights.is_dir() else weights)
