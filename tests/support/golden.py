"""Golden numbers of the official code of networks."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Golden:
    """Arrays of the official code, and the weights they were made with.

    Attributes:
        folder: Where the `.npz` and `.manifest.json` files lie.
    """

    folder: Path

    def arrays(self, name: str) -> dict[str, NDArray[np.generic]]:
        """Inputs, outputs and intermediates of `name.npz`, as they are stored."""
        with np.load(self.folder / f"{name}.npz") as stored:
            return dict(stored)

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The same as `arrays`, as tensors."""
        return {key: torch.from_numpy(array) for key, array in self.arrays(name).items()}

    def weights(self, name: str) -> dict[str, Tensor]:
        """Weights by the fill rule of `name.manifest.json`, float32.

        Keys that keep what the constructor gives them (`fill: fixed`) or that come from an official
        checkpoint are left out.
        """
        plan = json.loads((self.folder / f"{name}.manifest.json").read_text())["state_dict"]
        filled = {key: entry for key, entry in plan.items() if entry["fill"] == "normal"}
        return {key: torch.from_numpy(_fill(key, entry)) for key, entry in filled.items()}

    def shapes(self, name: str) -> dict[str, tuple[int, ...]]:
        """Every key of the official state dict and its shape."""
        plan = json.loads((self.folder / f"{name}.manifest.json").read_text())["state_dict"]
        return {key: tuple(entry["shape"]) for key, entry in plan.items()}

    def tolerance(self, name: str, key: str) -> float:
        """Five times the distance of the official float32 run from its float64 run.

        Where that was not measured: 1e-4 of the largest value, plus 1e-5.
        """
        entry = json.loads((self.folder / "index.json").read_text())[f"{name}.npz"][key]
        if "max_abs_f32_vs_f64" in entry:
            return 5 * float(entry["max_abs_f32_vs_f64"])
        return 1e-4 * float(entry["absmax"]) + 1e-5

    def fill(self, network: nn.Module, name: str) -> nn.Module:
        """Load `weights(name)`; what the manifest does not fill stays as constructed."""
        missing, unexpected = network.load_state_dict(self.weights(name), strict=False)
        fixed = set(self.shapes(name)) - set(self.weights(name))
        assert not unexpected
        assert set(missing) <= fixed
        return network.eval()


def _fill(key: str, entry: dict[str, object]) -> NDArray[np.float32]:
    shape, mul, add = entry["shape"], entry["mul"], entry["add"]
    assert isinstance(shape, list)
    assert isinstance(mul, (int, float))
    assert isinstance(add, (int, float))
    normal = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode()))).standard_normal(shape)
    normal = np.abs(normal) if entry.get("abs") else normal  # a running variance is not negative
    return np.asarray(normal * mul + add, dtype=np.float32)
