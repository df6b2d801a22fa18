"""The distributions hold what the tree holds; git, not setuptools, says what that is."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import vsrc
from vsrc.runtime.dependencies import dependencies

ROOT = Path(__file__).resolve().parents[1]

# Top-level folders that are not part of the package `vsrc`; recipes/ is its data.
NOT_INSTALLED = {".ci", ".github", "benchmarks", "docker", "docs", "tests"}


def tracked_files() -> list[str]:
    """The files under version control, as paths from the root."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs a checkout with git, which says what belongs to the tree")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return sorted(name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())


def build(kind: str, source: Path, target: Path) -> Path:
    """A `wheel` or `sdist` of `source`, built by the setuptools that is installed."""
    code = f"import sys; from setuptools.build_meta import *; print(build_{kind}(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(target)],
        cwd=source,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return target / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tracked files, so that what other builds left behind plays no part."""
    # Not imported here: it would replace distutils for the tests after this one.
    if Version(version("setuptools")) < Version("77"):
        pytest.skip("setuptools is older than 77")
    copy = tmp_path_factory.mktemp("tree")
    for name in tracked_files():
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    return copy


@pytest.fixture(scope="module")
def sdist(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", tree, folder)) as archive:
        for member in archive:  # `extractall` warns or not by the patch release of Python
            archive.extract(member, folder, set_attrs=False)
    (unpacked,) = (path for path in folder.iterdir() if path.is_dir())
    return unpacked


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as it is released: built from the source distribution."""
    return build("wheel", sdist, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def contents(wheel: Path) -> dict[str, bytes]:
    return read_wheel(wheel)


@pytest.fixture(scope="module")
def metadata(contents: dict[str, bytes]) -> Message:
    (text,) = (text for name, text in contents.items() if name.endswith(".dist-info/METADATA"))
    return email.message_from_string(text.decode())


def read_wheel(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


@pytest.mark.slow
def test_the_source_distribution_holds_every_tracked_file(sdist: Path) -> None:
    held = {path.relative_to(sdist).as_posix() for path in sdist.rglob("*") if path.is_file()}
    generated = {"PKG-INFO", "setup.cfg"}
    assert {name for name in held - generated if ".egg-info/" not in name} == set(tracked_files())


@pytest.mark.slow
def test_the_wheel_holds_every_module_and_file_of_the_rooms(contents: dict[str, bytes]) -> None:
    files = [Path(name) for name in tracked_files() if name != "setup.py"]
    rooms = [file for file in files if file.parts[0] not in NOT_INSTALLED and len(file.parts) > 1]
    root = [file for file in files if len(file.parts) == 1 and file.suffix in (".py", ".typed")]
    expected = {f"vsrc/{file.as_posix()}" for file in rooms + root}
    assert {name for name in contents if ".dist-info/" not in name} == expected


@pytest.mark.slow
def test_the_program_begins_with_the_module_that_handles_stop_signals(
    contents: dict[str, bytes],
) -> None:
    (text,) = (text for name, text in contents.items() if name.endswith("/entry_points.txt"))
    assert text.decode().split("\n", 1)[1].strip() == "vsrc = vsrc.__main__:main"


@pytest.mark.slow
def test_the_source_distribution_and_the_tree_give_the_same_wheel(
    contents: dict[str, bytes], tree: Path, tmp_path: Path
) -> None:
    assert read_wheel(build("wheel", tree, tmp_path)) == contents


@pytest.mark.slow
def test_the_readme_of_the_index_links_to_whole_addresses_only(metadata: Message) -> None:
    text = metadata.get_payload()
    assert isinstance(text, str)
    targets = re.findall(r"\]\(([^)]*)\)|^\[[^\]]*\]: *(\S+)|(?:src|href)=\"([^\"]*)\"", text)
    for target in ("".join(found) for found in targets):
        assert re.match(r"https://|#", target), f"{target} leads nowhere from an index"
    assert "vsrc infer holiday.mp4" in text
    assert "docs/infer.md" in text


@pytest.mark.slow
def test_the_metadata_says_what_an_index_shows(
    metadata: Message, contents: dict[str, bytes]
) -> None:
    assert metadata["Version"] == vsrc.__version__
    assert metadata["Author"]
    assert metadata["Keywords"]
    classifiers = metadata.get_all("Classifier") or []
    assert "Programming Language :: Python :: 3.10" in classifiers
    assert metadata["License-Expression"] == "Apache-2.0"
    (licence,) = (text for name, text in contents.items() if name.endswith("/licenses/LICENSE"))
    assert b"END OF TERMS AND CONDITIONS" in licence
    assert any(name.endswith("/licenses/NOTICE") for name in contents)


def test_the_oldest_versions_that_ci_tries_are_those_declared() -> None:
    """All but click's, of which the tests need a newer one than the product; see the file."""
    lines = (ROOT / ".ci" / "lowest.txt").read_text(encoding="utf-8").splitlines()
    tried = dict(line.split("==") for line in lines if not line.startswith("#"))
    declared = {
        each.name: Version(bound.version)
        for each in dependencies()
        if each.extra in (None, "cpu")
        for bound in SpecifierSet(each.bounds)
        if bound.operator == ">="
    }
    assert tried.keys() == declared.keys()
    for name, least in declared.items():
        assert Version(tried[name]) == least or name == "click"


def test_the_citation_is_of_this_version() -> None:
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == vsrc.__version__
    assert citation["license"] == "Apache-2.0"
