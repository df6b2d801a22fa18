"""Read the tensors of an untrusted checkpoint.

Pickles go through torch's `weights_only` reader, which builds tensors and containers and
runs no code; of a training checkpoint the averaged weights are taken.
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

from vsrc.runtime.errors import MismatchError
from vsrc.runtime.package import open_package

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
    "model",
    "network",
    "net",
)
"""Keys under which trainers store a state dict, averaged weights before the last ones."""

_DEEPEST = 8


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint by their names in the file, to the CPU.

    Args:
        path: `.pth`, `.pt` or any other name that torch.save was given, `.safetensors`, `.npz`
            (NumPy arrays), or a model package (`student.vsrc`).

    Raises:
        MismatchError: The file is not a plain checkpoint.
        SpecError: A damaged model package.
        FileNotFoundError: No such file.
    """
    path = Path(path)
    if path.is_dir():
        path = open_package(path).weights()
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    return _READERS.get(path.suffix, _read_pickle)(path)


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
        raise MismatchError(f"{path} {_why_refused(str(error))}") from error
    state = _unwrap(content)
    if not state:
        raise MismatchError(
            f"{path} holds {_describe(content)} instead of named tensors; "
            "expected a state dict, as torch.save(network.state_dict(), path) writes it"
        )
    return state


def _why_refused(error: str) -> str:
    if "TorchScript" in error:
        return (
            "is a TorchScript program, not a checkpoint: save the state dict of the network that "
            "it was made from"
        )
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
        inner = next((key for key in CONTAINERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            return {
                str(key): tensor
                for key, tensor in content.items()
                if isinstance(tensor, Tensor) and key != "n_averaged"  # AveragedModel's counter
            }
        content = content[inner]
    return {}


def _describe(content: object) -> str:
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    return f"a {type(content).__name__} with {', '.join(map(str, list(content)[:5])) or 'nothing'}"


_READERS: dict[str, Callable[[Path], dict[str, Tensor]]] = {
    ".safetensors": _read_safetensors,
    ".npz": _read_arrays,
}
