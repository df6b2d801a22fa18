"""What tests of networks share: golden numbers of the official code, and spandrel."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from support.golden import Golden


@pytest.fixture(scope="session")
def golden(reference: Path) -> Golden:
    """Golden numbers of the official code."""
    from support.golden import Golden

    return Golden(reference / "golden")


@pytest.fixture(scope="session")
def spandrel() -> ModuleType:
    """Spandrel, also where the compiled part of torchvision was built for another torch.

    Spandrel takes Python code alone from torchvision, whose import fails there for want of two
    operators that it describes but never runs.
    """
    try:
        return importlib.import_module("spandrel")
    except ImportError as error:
        pytest.skip(f"spandrel is not installed ({error})")
    except RuntimeError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor a, Tensor b, float c) -> Tensor")
        for name in list(sys.modules):
            if name.partition(".")[0] in ("spandrel", "torchvision"):  # half imported
                del sys.modules[name]
        return importlib.import_module("spandrel")
