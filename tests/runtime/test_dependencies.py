from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from vsrc.runtime import dependencies as module
from vsrc.runtime.dependencies import (
    DISTRIBUTION,
    Dependency,
    collect_versions,
    dependencies,
    dependencies_of,
    find_version,
    is_declared,
    is_importable,
    providers_of,
    version_numbers,
)


def test_dependencies_are_those_of_the_metadata() -> None:
    expected = set()
    for text in metadata.requires(DISTRIBUTION) or ():
        requirement = Requirement(text)
        extra = str(requirement.marker).rpartition("extra == ")[2].strip('"') or None
        expected.add((requirement.name, extra if requirement.marker else None))
    assert {(one.name, one.extra) for one in dependencies()} == expected
    assert next(iter(dependencies())).extra is None


def test_markers_of_other_pythons_and_systems_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [
        "numpy<3,>=1.26; python_version >= '3'",
        "numpy<2; python_version < '3'",
        "onnxruntime-gpu[cudnn,cuda]>=1.20; extra == 'gpu'",
        "torch>=2.6; extra == 'gpu' and sys_platform == 'win96'",
    ]
    monkeypatch.setattr(metadata, "requires", lambda _name: texts)
    found = [(one.extra, one.requirement) for one in dependencies()]
    assert found == [(None, "numpy<3,>=1.26"), ("gpu", "onnxruntime-gpu[cuda,cudnn]>=1.20")]


def test_no_extra_but_its_own_brings_a_build_of_onnxruntime() -> None:
    extras = {one.extra for one in dependencies() if one.module == "onnxruntime"}
    assert extras == {"cpu", "gpu", "gpu-cu12"}
    assert [one.name for one in dependencies_of("cpu")] == ["onnxruntime"]


@pytest.mark.parametrize(
    ("installed", "is_met"),
    [
        ("2.6", True),
        ("2.13.0+cpu", True),
        ("2.6.0a0+ecf3bae40a.nv25.01", True),  # JetPack's build of 2.6
        ("2.5.9", False),
        ("3.0", False),
        ("of somebody's own", True),
        (None, False),
    ],
)
def test_a_version_is_held_against_the_bounds(installed: str | None, is_met: bool) -> None:
    torch = Dependency("torch", "compress", "torch<3,>=2.6", "<3,>=2.6", installed)
    assert torch.is_met == is_met


def test_a_module_of_another_distribution_counts_as_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = Dependency("opencv-python-headless", "eval", "opencv-python-headless", "", None)
    monkeypatch.setattr(module, "_MODULES", {package.name: "cv2_of_this_test"})
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "cv2_of_this_test").mkdir()
    assert not package.is_there  # a folder of that name is no package
    (tmp_path / "cv2_of_this_test" / "__init__.py").touch()
    assert package.is_there


def test_a_module_is_looked_for_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "module_of_this_test.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(tmp_path)
    assert is_importable("module_of_this_test")
    assert not is_importable("no_such.module")
    monkeypatch.setitem(sys.modules, "module_of_this_test", None)
    assert not is_importable("module_of_this_test")


def test_only_what_users_can_install_is_declared() -> None:
    assert is_declared("cv2")
    assert is_declared("openvino")
    assert not is_declared("hypothesis")
    assert not is_declared("vsrc")


def test_the_versions_of_what_is_loaded_are_reported() -> None:
    import numpy as np

    found = collect_versions()
    assert found["numpy"] == np.__version__
    assert "tensorrt" not in found


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


def test_each_distribution_that_holds_a_module_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("Module-of_this-test", "module-of-this-test-gpu"):
        folder = tmp_path / f"{name.replace('-', '_')}-9.9.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n")
        (folder / "top_level.txt").write_text("module_of_this_test\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = providers_of("module_of_this_test")
    assert found == ["module-of-this-test", "module-of-this-test-gpu"]
    assert find_version("module-of-this-test-gpu") == "9.9"
    assert find_version("no-such-package") is None
