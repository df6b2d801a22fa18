"""Read the tensors of a TorchScript program without running or importing anything.

    NAME.zip ── NAME/data.pkl      tree of modules: their tensors and settings, by attribute
             ├─ NAME/data/0 ...    bytes of the tensors
             └─ NAME/code/         the program, which is not read

`torch.jit.load` would build the program. Here a pickle reader that knows tensors, containers and
"some module" takes the tree apart, and the names in it are those of the network's state dict.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

_TREE = "data.pkl"
_DTYPES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a program by their names.

    Args:
        path: File of `torch.jit.save`.

    Raises:
        pickle.UnpicklingError: It holds something other than tensors, containers and modules.
        Exception: Whatever else a damaged archive makes zipfile, pickle or torch raise.
    """
    with zipfile.ZipFile(path) as archive:
        tree = next(name for name in archive.namelist() if name.endswith(f"/{_TREE}"))
        reader = _Reader(archive, tree.removesuffix(_TREE))
        return dict(_named_tensors(reader.load()))


class _Module:
    """Stands for a module of any class."""

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Reader(pickle.Unpickler):
    """Builds tensors, containers and `_Module`; refuses everything else.

    Args:
        archive: The opened file.
        folder: Folder of the tree in the archive, with its slash.
    """

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{folder}{_TREE}")))
        self._archive, self._folder = archive, folder

    def find_class(self, module: str, name: str, /) -> object:
        """Return what stands for a name; nothing is imported."""
        if module.split(".")[0] == "__torch__":
            return _Module
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if module == "torch.jit._pickle":  # lists and dictionaries with a type
            return _first
        known = {
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("collections", "OrderedDict"): OrderedDict,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"{module}.{name} is neither a tensor nor a module")
        return known[module, name]

    def persistent_load(self, pid: tuple[str, torch.dtype, str, str, int], /) -> Tensor:
        """Read the bytes of a tensor, `(numbers,)`."""
        _, dtype, key, _, _ = pid
        content = bytearray(self._archive.read(f"{self._folder}data/{key}"))
        return torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)


def _tensor(
    storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> Tensor:
    return storage.as_strided(size, stride, offset)


def _first(value: object, *_: object) -> object:
    return value


def _named_tensors(top: object) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a tree of modules, with their paths as names."""
    waiting: list[tuple[str, object]] = [("", top)]
    seen: set[int] = set()
    while waiting:
        path, value = waiting.pop(0)
        if isinstance(value, Tensor):
            yield path, value
        elif isinstance(value, _Module) and isinstance(value.state, dict) and id(value) not in seen:
            seen.add(id(value))
            inside = [(f"{path}.{key}".lstrip("."), each) for key, each in value.state.items()]
            waiting = [*inside, *waiting]
