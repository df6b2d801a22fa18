"""`open_package` gives a package or one `SpecError`, whatever its `model.json` holds."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from support.malformed import JSON, changed
from vsrc.runtime.errors import SpecError
from vsrc.runtime.package import open_package
from vsrc.runtime.shipped_models import shipped

VALID = json.loads((shipped("edge-s") / "model.json").read_text(encoding="utf-8"))


def open_with(content: bytes) -> None:
    """Open a folder with such a `model.json`, and ask for all of its files."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.json").write_bytes(content)
        with suppress(SpecError):
            package = open_package(folder)
            for name in package.spec.graphs:
                with suppress(SpecError):
                    package.graph(name)
            package.weights()


@given(st.binary(max_size=64))
def test_bytes_are_one_error(content: bytes) -> None:
    open_with(content)


@given(JSON | changed(VALID))
def test_changed_specs_are_one_error(data: object) -> None:
    open_with(json.dumps(data).encode())
