"""An update of a package is done as a whole or not at all, at whatever moment it is killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from vsrc.runtime import package_update
from vsrc.runtime.errors import SpecError
from vsrc.runtime.package import describe_file, open_package
from vsrc.runtime.package_update import open_update
from vsrc.runtime.pending_folder import open_pending_folder

UPDATE = """
import dataclasses, os, shutil, signal, sys
from pathlib import Path
from vsrc.runtime.package import describe_file, open_package, open_package_update, write_spec

path, left = Path(sys.argv[1]), int(sys.argv[2])

def killing(real):
    def call(*args, **words):
        global left
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return real(*args, **words)
    return call

with open_package_update(path) as folder:
    spec = open_package(path).spec
    graphs = {}
    for name, graph in spec.graphs.items():
        file = folder / graph.file
        file.parent.mkdir(exist_ok=True)
        file.write_bytes((path / graph.file).read_bytes() + b"new")
        graphs[name] = dataclasses.replace(graph, **vars(describe_file(folder, graph.file)))
    write_spec(folder, dataclasses.replace(spec, graphs=graphs))
    for module, name in ((Path, "rename"), (Path, "replace"), (os, "fsync"), (shutil, "rmtree")):
        setattr(module, name, killing(getattr(module, name)))
"""


@pytest.fixture
def package(tmp_path: Path, tiny_package: Path) -> Path:
    return Path(shutil.copytree(tiny_package, tmp_path / "a.vsrc"))


def test_a_killed_update_is_complete_or_did_not_begin(tmp_path: Path, package: Path) -> None:
    old = {name: graph.sha256 for name, graph in open_package(package).spec.graphs.items()}
    seen = []
    for moment in range(99):
        copy = Path(shutil.copytree(package, tmp_path / f"{moment}.vsrc"))
        done = subprocess.run([sys.executable, "-c", UPDATE, copy, str(moment)], check=False)
        spec = open_package(copy).spec
        for name, graph in spec.graphs.items():
            assert describe_file(copy, graph.file).sha256 == graph.sha256, (moment, name)
        changed = {graph.sha256 != old[name] for name, graph in spec.graphs.items()}
        assert len(changed) == 1
        seen.append(changed.pop())
        assert not (copy / ".vsrc-update").exists()
        if done.returncode == 0:
            break
        assert done.returncode == -9
    assert seen == sorted(seen)  # old until one moment, new from then on
    assert {*seen} == {False, True}
    assert len(seen) > 8


def test_what_cannot_be_moved_is_named_with_the_remedy(package: Path) -> None:
    update = package / ".vsrc-update"
    (update / "graphs").mkdir(parents=True)
    shutil.copy(package / "model.json", update)
    (update / "graphs" / "new.onnx").touch()
    (package / "graphs" / "new.onnx").mkdir()
    with pytest.raises(SpecError, match=r"stopped before all.*make the package writable"):
        open_package(package)
    (package / "graphs" / "new.onnx").rmdir()
    open_package(package)
    assert (package / "graphs" / "new.onnx").is_file()


@pytest.mark.parametrize("kind", ["out", "link", "file", "partial"])
def test_an_update_that_vsrc_did_not_write_is_refused(
    tmp_path: Path, package: Path, kind: str
) -> None:
    update, outside = package / ".vsrc-update", tmp_path / "outside"
    outside.mkdir()
    if kind == "link":
        update.symlink_to(outside)
    elif kind == "file":
        update.touch()
    else:
        (update / "notes").mkdir(parents=True)
        (update / "notes" / "a").touch()
    if kind == "out":
        shutil.copy(package / "model.json", update)
        (package / "notes").symlink_to(outside)
    with pytest.raises(SpecError, match=r"remove "):
        open_package(package)
    assert not any(outside.iterdir())


def test_updates_wait_for_each_other(package: Path) -> None:
    order = []

    def update(name: str) -> None:
        with open_update(package, last="model.json") as folder:
            order.append(name)
            shutil.copy(package / "model.json", folder)
            time.sleep(0.05)
            order.append(name)

    threads = [threading.Thread(target=update, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert order in (list("aabb"), list("bbaa"))


def test_an_exception_leaves_the_package_as_it_was(package: Path) -> None:
    before = sorted(os.walk(package))
    with pytest.raises(FileNotFoundError), open_update(package, last="model.json") as folder:
        shutil.copy(package / "none", folder)
    assert sorted(os.walk(package)) == before


def test_a_package_that_is_being_written_is_updated_without_waiting(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package_update, "_WAIT_SECONDS", 0.0)
    with open_pending_folder(tmp_path / "b.vsrc") as draft:
        shutil.copytree(package, draft, dirs_exist_ok=True)
        with open_update(draft, last="model.json") as folder:
            shutil.copy(package / "model.json", folder)
            (folder / "new").touch()
    assert (tmp_path / "b.vsrc" / "new").exists()
    open_package(tmp_path / "b.vsrc")
