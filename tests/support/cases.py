"""Small real files that failed once, beside the reference data."""

from __future__ import annotations

from pathlib import Path

import pytest


def find_case(reference: Path, name: str) -> Path:
    """Path of a file in `cases`, such as `video/wmav2.wmv`; skips where it is absent."""
    path = reference.parent / "cases" / name
    if not path.is_file():
        pytest.skip(f"{path} is absent; set VSRC_REFERENCE to the folder beside `cases`")
    return path
