"""No process that vsrc starts imports from the working directory.

`POISON` are modules that note that they were run. They lie in the working directory, or in another
folder that reaches a child in a way in which the working directory would.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import vsrc
from vsrc.runtime.errors import VsrcError
from vsrc.runtime.inspection.trials import run_trial
from vsrc.runtime.processes.child_process import prepare_child, safe_import_path, show_safe_folders
from vsrc.runtime.processes.fresh_process import ask

POISON = (
    *("json", "typing", "types", "re", "enum", "struct", "subprocess", "importlib", "encodings"),
    *("sitecustomize", "usercustomize", "numpy", "av", "onnxruntime", "tensorrt", "vsrc", "torch"),
)
"""What Python, vsrc and what it depends on import; also what is not installed."""

SHOW = "import json, sys; print(json.dumps(sys.path)); import numpy, av, onnxruntime"


@pytest.fixture
def poisoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in POISON:
        text = (
            f"import sys\nopen({str(tmp_path / 'ran')!r}, 'a').write({name!r} + ' ')\nsys.exit(9)"
        )
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


def ran(folder: Path) -> str:
    """Names of the modules that were run."""
    note = folder.parent / "ran"
    return note.read_text(encoding="utf-8") if note.exists() else ""


def path_of_child(code: str = SHOW) -> list[str]:
    child = prepare_child(code)
    done = subprocess.run(
        child.command, env=child.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    path: list[str] = json.loads(done.stdout)
    return path


def test_the_poison_works(poisoned: Path) -> None:
    command = [sys.executable, "-c", "import numpy"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"}
    assert subprocess.run(command, env=environment, check=False).returncode == 9
    assert ran(poisoned) == "numpy "


def test_a_child_takes_nothing_from_the_working_directory(poisoned: Path) -> None:
    path_of_child()
    assert run_trial("numpy").works
    assert not run_trial("tensorrt").works
    with pytest.raises(VsrcError, match="KeyError: 'config'"):  # it came as far as the request
        ask("vsrc.runtime.latency.child", {}, lambda _step: None)
    assert ran(poisoned) == ""


@pytest.mark.parametrize("entry", ["", ".", "./", "../videos", "link", "absolute", os.sep])
def test_a_path_that_leads_to_the_working_directory_is_not_handed_on(
    entry: str, poisoned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (poisoned.parent / "link").symlink_to(poisoned)
    known = {"link": str(poisoned.parent / "link"), "absolute": str(poisoned)}
    entry = known.get(entry, f"{poisoned}{entry}" if entry == os.sep else entry)
    monkeypatch.setattr(sys, "path", [entry, *sys.path, entry])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([entry, entry]))
    assert not {"", ".", entry} & set(path_of_child())
    assert run_trial("numpy").works
    assert ran(poisoned) == ""


def test_a_relative_path_is_not_handed_on(poisoned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Python turns what PYTHONPATH says into absolute paths, here that of the poison.
    monkeypatch.chdir(poisoned.parent)
    monkeypatch.setenv("PYTHONPATH", "videos")
    monkeypatch.setattr(sys, "path", ["videos", str(poisoned), *sys.path])
    path_of_child()
    assert ran(poisoned) == ""


def test_the_folder_of_the_script_is_not_handed_on(
    poisoned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = poisoned / "measure.py"
    script.write_text(
        "import sys\nfolder = sys.path.pop(0)\n"
        "from vsrc.runtime.inspection.trials import run_trial\n"
        "sys.path.insert(0, folder)\n"
        "print(run_trial('numpy').works)",
        encoding="utf-8",
    )
    monkeypatch.chdir(poisoned.parent)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr
    assert ran(poisoned) == ""


def test_other_folders_are_handed_on_in_their_order(
    tmp_path: Path, poisoned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, last = (tmp_path / name for name in ("first", "last"))
    for folder in (first, last):
        folder.mkdir()
        (folder / "own_module.py").write_text(f"where = {folder.name!r}", encoding="utf-8")
    rest = [entry for entry in safe_import_path() if Path(entry) != poisoned]
    monkeypatch.setattr(sys, "path", [str(first), str(poisoned), *rest, str(last)])
    assert path_of_child() == [str(first), *rest, str(last)]
    code = "import json, own_module; print(json.dumps([own_module.where]))"
    assert path_of_child(code) == ["first"]


def test_libraries_that_start_processes_are_shown_safe_folders(
    poisoned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", ["", str(poisoned), *sys.path])
    before = list(sys.path)
    with show_safe_folders():
        assert Path.cwd() != poisoned
        assert str(Path.cwd()) in sys.path
        assert not {"", str(poisoned)} & set(sys.path)
    assert (sys.path, Path.cwd()) == (before, poisoned)


@pytest.mark.parametrize("kind", ["stdlib", "purelib"])
def test_where_python_keeps_its_modules_may_be_the_working_directory(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = safe_import_path()
    monkeypatch.chdir(sysconfig.get_path(kind))
    assert safe_import_path() == before
    assert Path.cwd() in map(Path, before)


def test_a_working_directory_that_was_removed_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert run_trial("numpy").works


def test_a_child_has_the_vsrc_of_its_parent(poisoned: Path) -> None:
    # As in the folder that holds a checkout called vsrc: this copy is found there and nowhere else.
    (poisoned / "vsrc.py").unlink()
    (poisoned / "vsrc").symlink_to(Path(vsrc.__file__).parent, target_is_directory=True)
    code = (
        "import sys; sys.path.insert(0, '')\nimport vsrc\ndel sys.path[0]\n"
        "from vsrc.runtime.inspection.trials import run_trial\n"
        "import vsrc.runtime.processes.child_process as start, subprocess\n"
        "sys.path.insert(0, '')\n"
        "child = start.prepare_child('import vsrc; print(vsrc.__file__)')\n"
        "print(subprocess.check_output(child.command, env=child.environment, text=True))"
    )
    command = [sys.executable, "-c", f"import sys; del sys.path[0]\n{code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(poisoned / "vsrc" / "__init__.py"), done.stderr
    assert ran(poisoned) == ""


def test_a_child_is_as_isolated_as_its_parent(tmp_path: Path, poisoned: Path) -> None:
    # PYTHONPATH names the poison by an absolute path from elsewhere; -I says to ignore it.
    code = (
        "import subprocess; from vsrc.runtime.processes.child_process import prepare_child\n"
        "child = prepare_child('import sys; print(sys.flags.isolated, sys.flags.no_user_site)')\n"
        "print(subprocess.check_output(child.command, env=child.environment, text=True))"
    )
    environment = {**os.environ, "PYTHONPATH": str(poisoned)}
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["1", "1"], done.stderr
    assert ran(poisoned) == ""


def test_children_of_a_child_are_safe_too(poisoned: Path) -> None:
    if sys.version_info < (3, 11):
        pytest.skip("Python 3.10 has no PYTHONSAFEPATH")
    code = (
        "import subprocess, sys; print('[]', flush=True)\n"
        "subprocess.run([sys.executable, '-c', 'import numpy'], check=True)"
    )
    assert path_of_child(code) == []
    assert ran(poisoned) == ""
