"""Reference data that tests judge against, found through `VSRC_REFERENCE`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _existing(path: Path, what: str) -> Path:
    if not path.is_dir():
        pytest.skip(f"{what} not found at {path}; set VSRC_REFERENCE to where it is")
    return path


@pytest.fixture(scope="session")
def reference() -> Path:
    """Official weights, benchmark frames and golden numbers."""
    path = Path(os.environ.get("VSRC_REFERENCE", ROOT.parent / "shared" / "reference"))
    return _existing(path, "reference data")


@pytest.fixture(scope="session")
def clips(reference: Path) -> Path:
    """Real clips, in `train` and `eval`."""
    return _existing(reference.parent / "clips", "real clips")
