"""Golden numbers of the losses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from torch import Tensor

    Golden = dict[str, Tensor]


@pytest.fixture(scope="module")
def golden_loss(reference: Path) -> Callable[[str], Golden]:
    """`golden_loss("std_formula")`: name -> float64 tensor."""

    import torch

    def load(name: str) -> Golden:
        with np.load(reference / "golden" / f"loss_{name}.npz") as arrays:
            return {key: torch.from_numpy(np.asarray(arrays[key], np.float64)) for key in arrays}

    return load
