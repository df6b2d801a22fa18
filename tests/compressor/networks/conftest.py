"""What tests of networks share: golden numbers of the official code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.golden import Golden


@pytest.fixture(scope="session")
def golden(reference: Path) -> Golden:
    """Golden numbers of the official code."""
    from support.golden import Golden

    return Golden(reference / "golden")
