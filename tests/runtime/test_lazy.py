from __future__ import annotations

import ast
import importlib
import subprocess
import sys

import pytest

from support.places import PACKAGE

FOLDERS = ("runtime", "calibration", "compressor", "export", "demo", "commands")


def names_of(room: str) -> set[str]:
    """Names that a room hands on, as the source of its `__init__.py` has them for type checkers."""
    tree = ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {alias.asname for node in imports for alias in node.names if alias.asname}


ROOMS = [
    init.parent.relative_to(PACKAGE).as_posix()
    for folder in FOLDERS
    for init in sorted((PACKAGE / folder).rglob("__init__.py"))
    if "lazy_names" in init.read_text(encoding="utf-8")
]


def test_rooms_with_lazy_names_are_found() -> None:
    assert {"runtime", "calibration", "export"} <= set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_public_names_are_listed_before_they_are_used(room: str) -> None:
    module = f"vsrc.{room.replace('/', '.')}"
    code = f"import {module} as room; print(*dir(room)); print(*room.__all__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    listed, public = (set(line.split()) for line in done.stdout.splitlines())
    assert public == names_of(room)
    assert public <= listed
    assert "__doc__" in listed
    assert not {"TYPE_CHECKING", "lazy_names"} & listed


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_there(room: str) -> None:
    module = importlib.import_module(f"vsrc.{room.replace('/', '.')}")
    for name in module.__all__:
        assert getattr(module, name).__name__ == name


def test_another_name_is_no_attribute() -> None:
    import vsrc.runtime

    assert not hasattr(vsrc.runtime, "no_such_name")
