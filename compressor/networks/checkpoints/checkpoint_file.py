"""Read the tensors of an untrusted checkpoint.

Pickles go through torch's `weights_only` reader, which builds tensors and containers and
runs no code, TorchScript programs through `torchscript_file`, which does the same; of a training
checkpoint the averaged weights are taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vsrc.compressor.networks.checkpoints.torchscript_file import read_torchscript
from vsrc.runtime.errors import MismatchError, first_line
from vsrc.runtime.package import open_package
from vsrc.runtime.text.missing_path import describe_missing
from vsrc.runtime.user_code import describe_python_file

CONTAINERS = (
    "params_ema",
    "params-ema",
    "model_ema",
    "ema_state_dict",
    "state_dict_ema",
    "ema",
    "params",
    "state_dict",
    "model_state_dict",
    "generator_ema",
    "g_ema",
    "generator",
    "netG",
    "net_g",
    "model",
    "network",
    "net",
)
"""Keys under which trainers store a state dict, averaged weights before the last ones."""

_GENERATORS = (
    *("generator_ema", "netG_ema", "net_g_ema", "g_ema", "model_ema", "ema_model"),
    *("generator", "netG", "net_g", "model", "network", "net"),
)
"""First parts of the names of the network in a file that holds losses beside it."""
_BESIDE = re.compile(
    r".*(loss|criterion|discriminator|metric|vgg|lpips|psnr|ssim|counter|net_?d).*", re.IGNORECASE
)
"""First parts of the names of what is only for training."""

_DEEPEST = 8


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint by their names in the file, to the CPU.

    Args:
        path: `.pth`, `.pt` or any other name that torch.save or torch.jit.save was given,
            `.safetensors`, `.npz` (NumPy arrays), or a model package (`student.vsrc`).

    Raises:
        MismatchError: The file is not a plain checkpoint.
        SpecError: A damaged model package.
        FileNotFoundError: No such file.
    """
    path = Path(path)
    if path.is_dir():
        path = open_package(path).weights()
    if not path.is_file():
        raise FileNotFoundError(describe_missing(path))
    if path.suffix == ".py":
        raise MismatchError(describe_python_file(path))
    return _READERS.get(path.suffix.lower(), _read_pickle)(path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise MismatchError(
            f"{path} is not a complete safetensors file ({error}); download it again"
        ) from error


def _read_arrays(path: Path) -> dict[str, Tensor]:
    try:
        # Opened here: np.load does not close the file that it opens if the archive is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    except (ValueError, OSError, TypeError, BadZipFile) as error:
        raise MismatchError(
            f"{path} is not a complete archive of NumPy arrays ({error}); download it again"
        ) from error


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # invalid pickles can raise anything: KeyError, EOFError...
        if "TorchScript" in str(error):
            return _read_program(path)
        raise MismatchError(f"{path} {_why_refused(str(error))}") from error
    state = _unwrap(content)
    if not state:
        raise MismatchError(
            f"{path} holds {_describe(content)} instead of named tensors; "
            "expected a state dict, as torch.save(network.state_dict(), path) writes it"
        )
    return state


def _read_program(path: Path) -> dict[str, Tensor]:
    try:
        state = read_torchscript(path)
    except Exception as error:  # as above
        line = first_line(error)
        raise MismatchError(
            f"{path} is a TorchScript program whose weights cannot be read ({line}): save the "
            "state dict of the network that it was made from"
        ) from error
    if not state:
        raise MismatchError(f"{path} is a TorchScript program without weights")
    return state


def _why_refused(error: str) -> str:
    if match := re.search(r"GLOBAL ([\w.]+)", error):
        return (
            f"holds Python objects other than tensors ({match[1]}), which could run any code, so "
            "it is refused: at its source, save only the weights with "
            "torch.save(network.state_dict(), path), or as .safetensors"
        )
    return "is not a checkpoint that torch can read, or it is damaged; download it again"


def _unwrap(content: object) -> dict[str, Tensor]:
    """The state dict inside a checkpoint: the averaged weights, else the last ones."""
    for _ in range(_DEEPEST):  # a pickled dict may contain itself
        if not isinstance(content, Mapping):
            break
        inner = _inner_key(content)
        if inner is None:
            return _without_losses(
                {
                    str(key): tensor
                    for key, tensor in content.items()
                    if isinstance(tensor, Tensor) and key != "n_averaged"  # AveragedModel's counter
                }
            )
        content = content[inner]
    return {}


def _inner_key(content: Mapping[object, object]) -> object | None:
    """Key of the state dict among the other entries of a checkpoint; None if it is one itself."""
    for key in CONTAINERS:
        if isinstance(content.get(key), Mapping):
            return key
    if any(isinstance(value, Tensor) for value in content.values()):
        return None
    states = [key for key, value in content.items() if _is_state(value)]
    return states[0] if len(states) == 1 else None


def _is_state(value: object) -> bool:
    return isinstance(value, Mapping) and any(
        isinstance(key, str) and isinstance(tensor, Tensor) for key, tensor in value.items()
    )


def _without_losses(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Keep the network alone where a trainer stored its losses and discriminator beside it."""
    parts = {key.partition(".")[0] for key in state}
    chosen = next((part for part in _GENERATORS if part in parts), None)
    rest = parts - set(_GENERATORS)
    if chosen is None or len(parts) == 1 or not all(map(_BESIDE.fullmatch, rest)):
        return state
    return {key: tensor for key, tensor in state.items() if key.startswith(f"{chosen}.")}


def _describe(content: object) -> str:
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    return f"a {type(content).__name__} with {', '.join(map(str, list(content)[:5])) or 'nothing'}"


_READERS: dict[str, Callable[[Path], dict[str, Tensor]]] = {
    ".safetensors": _read_safetensors,
    ".npz": _read_arrays,
}
