"""What tests of networks share: golden numbers of the official code, and spandrel."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from vsrc.compressor.networks.image.spandrel_image import import_spandrel
from vsrc.runtime.dependencies import is_importable

if TYPE_CHECKING:
    from support.golden import Golden


@pytest.fixture(scope="session")
def golden(reference: Path) -> Golden:
    """Golden numbers of the official code."""
    from support.golden import Golden

    return Golden(reference / "golden")


@pytest.fixture(scope="session")
def spandrel() -> ModuleType:
    """Spandrel, as the library imports it."""
    if not is_importable("spandrel"):
        pytest.skip("spandrel is not installed")
    return import_spandrel()
