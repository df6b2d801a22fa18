"""What may go wrong because the root of the repository is the package `vsrc`, and where one stands.

CONTRIBUTING.md tells of these traps and of what is promised.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

POISON = ("json", "logging", "click", "numpy", "av", "onnxruntime", "tempfile", "tensorrt", "rich")
"""What the commands import, save for what Python itself imports for `-m`."""

TINY = ("--shape", "32x32", "--runs", "1", "--seconds", "0.1", "--no-stages", "--threads", "1")


def run(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"}
    return subprocess.run(
        command,
        cwd=folder,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def poisoned(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in POISON:
        text = f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r} + ' ')\nraise SystemExit(9)"
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return folder


def test_run_as_a_module_it_is_the_command(tmp_path: Path) -> None:
    done = run(tmp_path, sys.executable, "-m", "vsrc", "zoo")
    assert done.returncode == 0, done.stderr
    assert "edge-s" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("doctor",), ("bench", "edge-s", *TINY)])
@pytest.mark.parametrize("how", ["command", "module"])
def test_commands_run_nothing_of_the_working_directory(
    how: str, arguments: tuple[str, ...], poisoned: Path
) -> None:
    command = Path(sys.executable).parent / "vsrc"
    if how == "command" and not command.exists():
        pytest.skip("vsrc was not installed by pip")
    start = [str(command)] if how == "command" else [sys.executable, "-m", "vsrc"]
    done = run(poisoned, *start, *arguments)
    assert done.returncode in (0, 3), done.stderr  # doctor says what is not installed
    assert not (poisoned.parent / "ran").exists(), done.stderr


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder of the import path that holds another vsrc."""
    package = tmp_path / "site" / "vsrc"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("__version__ = 'installed'", encoding="utf-8")
    return package.parent


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """A folder that holds a checkout called vsrc."""
    folder = tmp_path / "projects"
    folder.mkdir()
    (folder / "vsrc").symlink_to(ROOT, target_is_directory=True)
    return folder


def test_a_checkout_that_hides_the_installed_one_says_so(parent: Path, installed: Path) -> None:
    code = "import vsrc; print(vsrc.__file__)"
    done = run(parent, sys.executable, "-c", code, PYTHONPATH=str(installed))
    assert done.stdout.strip() == str(parent / "vsrc" / "__init__.py")
    assert "<string>:1: UserWarning: this is the vsrc of the checkout" in done.stderr
    assert str(installed / "vsrc") in done.stderr


def test_from_elsewhere_the_installed_one_is_imported(
    tmp_path: Path, parent: Path, installed: Path
) -> None:
    code = "import vsrc; print(vsrc.__version__)"
    done = run(tmp_path, sys.executable, "-c", code, PYTHONPATH=str(installed))
    assert (done.stdout, done.stderr) == ("installed\n", "")
    if sys.version_info >= (3, 11):
        done = run(parent, sys.executable, "-P", "-c", code, PYTHONPATH=str(installed))
        assert (done.stdout, done.stderr) == ("installed\n", "")


def test_a_checkout_that_hides_nothing_says_nothing(parent: Path) -> None:
    code = "import vsrc.runtime"
    assert run(parent, sys.executable, "-c", code).stderr == ""
    assert run(ROOT, sys.executable, "-c", code).stderr == ""


def test_what_is_installed_is_imported_without_a_look_around(installed: Path) -> None:
    # The wheel has the same __init__.py, but no pyproject.toml beside it.
    text = (ROOT / "__init__.py").read_text(encoding="utf-8")
    (installed / "vsrc" / "__init__.py").write_text(text, encoding="utf-8")
    other = installed.parent / "other" / "vsrc"
    other.mkdir(parents=True)
    (other / "__init__.py").touch()
    path = os.pathsep.join([str(installed), str(other.parent)])
    done = run(installed.parent, sys.executable, "-c", "import vsrc", PYTHONPATH=path)
    assert (done.returncode, done.stderr) == (0, "")


def test_type_checkers_find_the_package_in_a_fresh_checkout() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("the link comes with a checkout")
    tomllib = pytest.importorskip("tomllib")  # Python 3.11+
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    folders = tool["pyright"]["extraPaths"]
    mypy_path = tool["mypy"]["mypy_path"].replace("$MYPY_CONFIG_FILE_DIR/", "")
    assert mypy_path.split(":") == folders
    folder = folders[0]
    done = run(ROOT, "git", "ls-files", "--stage", f"{folder}/vsrc")
    assert done.stdout.startswith("120000 "), "not a link that git keeps"
    assert (ROOT / folder / "vsrc" / "__init__.py").samefile(ROOT / "__init__.py")
