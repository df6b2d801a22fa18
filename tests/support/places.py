"""Where things lie: in the vsrc that is tested, or in a checkout alone."""

from __future__ import annotations

from pathlib import Path

import pytest

import vsrc

TESTS = Path(__file__).resolve().parents[1]
PACKAGE = Path(vsrc.__file__).resolve().parent
"""The vsrc that is tested: the checkout, or what a wheel installed."""

ASSETS = PACKAGE / "runtime" / "assets"


def find_in_checkout(name: str) -> Path:
    """A file or folder that no wheel holds; the test skips where tests/ was copied without it.

    Args:
        name: Path from the root of the checkout.
    """
    path = TESTS.parent / name
    if not path.exists():
        pytest.skip(f"{name} lies in a checkout, not beside {TESTS}", allow_module_level=True)
    return path
