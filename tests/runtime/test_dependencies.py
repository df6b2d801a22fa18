from __future__ import annotations

from importlib import import_module, metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from vsrc.runtime.dependencies import (
    installed_like,
    installed_version,
    needed,
    needs,
    version_numbers,
)
from vsrc.runtime.errors import MissingDependencyError


def test_a_module_that_is_missing_says_what_brings_it() -> None:
    line = r"^no_such is not importable \(No module named 'no_such'\); .*'vsrc\[cpu\]'$"
    with pytest.raises(MissingDependencyError, match=line), needed("no_such", "vsrc[cpu]"):
        import_module("no_such")


def test_needs_are_what_packaging_reads_from_the_metadata() -> None:
    expected = set()
    for text in metadata.requires("vsrc") or ():
        requirement = Requirement(text)
        extra = None
        if requirement.marker:
            extra = str(requirement.marker).partition("extra == ")[2].strip('"') or None
        least = next((item.version for item in requirement.specifier if item.operator == ">="), "")
        expected.add((requirement.name, extra, least))
    assert {(need.name, need.extra, need.least) for need in needs()} == expected
    assert next(iter(needs())).extra is None


def test_a_need_knows_whether_it_is_met() -> None:
    for need in needs():
        if need.installed is None:
            assert not need.is_met
        else:
            assert need.installed == metadata.version(need.name)
            met = not need.least or Version(need.installed) >= Version(need.least)
            assert need.is_met == met


@pytest.mark.parametrize(
    ("version", "numbers"),
    [
        ("2.13.0+cpu", (2, 13)),
        ("1.20", (1, 20)),
        ("10.3.0rc1", (10, 3)),
        ("3", (3,)),
        ("0.0", ()),
        ("", ()),
        ("unknown", ()),
    ],
)
def test_numbers_of_a_version(version: str, numbers: tuple[int, ...]) -> None:
    assert version_numbers(version) == numbers


def test_distributions_are_found_by_how_they_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("onnxruntime-gpu", "Onnxruntime-Other"):
        folder = tmp_path / f"{name.replace('-', '_')}-9.9.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = installed_like("onnxruntime")
    assert {"onnxruntime-gpu", "onnxruntime-other"} <= set(found)
    assert found == sorted(found)
    assert installed_version("onnxruntime-gpu") == "9.9"
    assert installed_version("no-such-package") is None
