"""Load the weights of a network from a file, whoever wrote it.

All tensors are checked against the network before the first one is copied, so a network is never
partially loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from vsrc.compressor.networks.checkpoints.checkpoint_file import read_weights
from vsrc.compressor.networks.checkpoints.renaming import AdaptsCheckpoint
from vsrc.compressor.networks.loading.recognition import describe_nearest
from vsrc.runtime.errors import MismatchError

_SHOWN = 3


def load_weights(network: nn.Module, path: str | Path) -> None:
    """Load the weights of a file into a network.

    Supports the layouts that the authors of each network published, training checkpoints (the
    averaged weights where there are any), half precision files (they become the network's own
    precision) and the prefix that DataParallel, `torch.compile` or a trainer puts before each name.

    Args:
        network: Any network; one of the table also accepts the names of other implementations.
        path: `.pth`, `.pt`, `.safetensors`, or a model package (`student.vsrc`).

    Raises:
        MismatchError: The file is not a plain checkpoint, or holds weights of another network;
            the message says what differs and which network of the table is most similar.
        SpecError: A damaged model package.
        FileNotFoundError: No such file.
    """
    path = Path(path)
    load_state(network, read_weights(path), where=str(path))


def load_state(network: nn.Module, state: Mapping[str, Tensor], *, where: str) -> None:
    """Load tensors already read into a network.

    Args:
        network: Any network.
        state: Tensors by name.
        where: Name of the tensors in messages.
    """
    own = network.state_dict()
    weights = without_prefix(state, own)
    if isinstance(network, AdaptsCheckpoint):
        weights = network.adapt_checkpoint(weights)
    if differences := list_differences(weights, own):
        advice = describe_nearest(weights, network)
        raise MismatchError(
            f"{where} does not fit {_name(network)}: {'; '.join(differences)}. {advice}"
        )
    if broken := [key for key, tensor in weights.items() if not _all_finite(tensor)]:
        raise MismatchError(
            f"{where}: {_few(broken)} holds NaN or infinity; take another checkpoint"
        )
    network.load_state_dict({key: tensor.to(own[key].dtype) for key, tensor in weights.items()})


def without_prefix(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drop leading name parts shared by all names of the file and absent from the network."""
    stripped = dict(state)
    while stripped:
        first = {key.partition(".")[0] for key in stripped}
        if len(first) > 1 or not all("." in key for key in stripped):
            break
        if any(key.partition(".")[0] in first for key in own):
            break
        stripped = {key.partition(".")[2]: tensor for key, tensor in stripped.items()}
    return stripped


def list_differences(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """Say in words which tensors are missing, unknown or of another shape; empty if none."""
    missing = [key for key in own if key not in weights]
    extra = [key for key in weights if key not in own]
    misfits = [
        f"{key} is {_shape(tensor)}, expected {_shape(own[key])}"
        for key, tensor in weights.items()
        if key in own and not _fits(tensor, own[key])
    ]
    return [
        f"{len(keys)} {what} ({_few(keys)})"
        for keys, what in ((missing, "missing"), (extra, "unknown"), (misfits, "of another shape"))
        if keys
    ]


def _fits(tensor: Tensor, own: Tensor) -> bool:
    # The integers of a quantised file are meaningless without their scales.
    return tensor.shape == own.shape and tensor.is_floating_point() == own.is_floating_point()


def _shape(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _all_finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def _name(network: nn.Module) -> str:
    spec = getattr(network, "spec", None)
    return type(network).__name__ if spec is None else f"{spec.name} (scale={spec.scale})"
