"""Files and folders that appear when they are complete, and what is left of the others."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from vsrc.runtime import pending_folder
from vsrc.runtime.errors import VsrcError
from vsrc.runtime.pending_claim import open_folder, remove_abandoned
from vsrc.runtime.pending_file import PendingFile, open_pending_file, write_file
from vsrc.runtime.pending_folder import PendingFolder, open_pending_folder

KILLED = """
import os, signal, sys
from pathlib import Path
from vsrc.runtime.pending_file import PendingFile
from vsrc.runtime.pending_folder import PendingFolder
path = Path(sys.argv[2])
if sys.argv[1] == "file":
    PendingFile(path).file.write(b"half")
else:
    (PendingFolder(path).folder / "half").write_bytes(b"half")
os.kill(os.getpid(), signal.SIGKILL)
"""

SWAP_KILLED = """
import os, signal, sys
from pathlib import Path
from vsrc.runtime import pending_folder
from vsrc.runtime.pending_folder import open_pending_folder
pending_folder._exchange = lambda one, other: False  # as on most other systems
rename = Path.rename
def rename_once(self, target):
    rename(self, target)
    os.kill(os.getpid(), signal.SIGKILL)
Path.rename = rename_once
with open_pending_folder(Path(sys.argv[1])) as folder:
    (folder / "new").touch()
"""


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def write_half_a_file(path: Path, error: type[BaseException]) -> None:
    with open_pending_file(path) as file:
        file.write(b"half")
        raise error


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reaches the disk and what gets its name, in order."""
    seen: list[str] = []
    fsync, rename, replace = os.fsync, Path.rename, Path.replace

    def named(path: Path) -> str:
        return "PENDING" if path.name.endswith(".pending") else path.name

    def log_fsync(descriptor: int) -> None:
        seen.append(f"fsync {named(Path(f'/proc/self/fd/{descriptor}').readlink())}")
        fsync(descriptor)

    def log_rename(self: Path, target: Path) -> Path:
        seen.append(f"{named(self)} -> {target.name}")
        return rename(self, target)

    def log_replace(self: Path, target: Path) -> Path:
        seen.append(f"{named(self)} -> {target.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", log_fsync)
    monkeypatch.setattr(Path, "rename", log_rename)
    monkeypatch.setattr(Path, "replace", log_replace)
    return seen


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_process_left_is_removed_and_what_is_in_use_is_not(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "a[1].mp4"
    subprocess.run([sys.executable, "-c", KILLED, kind, str(path)], check=False)
    (orphan,) = tmp_path.iterdir()
    first = PendingFile(path)
    assert not orphan.exists()
    second = PendingFile(path)
    assert len(list(tmp_path.iterdir())) == 2
    second.file.write(b"whole")
    second.commit()
    first.discard()
    assert contents(tmp_path) == {"a[1].mp4": b"whole"}


def test_a_folder_in_use_is_not_taken_for_abandoned(tmp_path: Path) -> None:
    first = PendingFolder(tmp_path / "a")
    with open_pending_folder(tmp_path / "a") as second:
        (second / "x").touch()
    assert first.folder.is_dir()
    first.discard()
    assert contents(tmp_path) == {"a/x": b""}


@pytest.mark.parametrize("moment", ["before it is opened", "before it is locked"])
def test_a_folder_that_is_taken_for_abandoned_as_it_is_created_is_created_again(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = Path.mkdir
    first: list[Path] = []

    def make_and_lose(folder: Path) -> None:
        mkdir(folder)
        if moment == "before it is opened" and not first:
            first.append(folder)
            remove_abandoned(tmp_path / "a", None)

    def open_and_lose(folder: Path) -> int | None:
        descriptor = open_folder(folder)
        if moment == "before it is locked" and not first:
            first.append(folder)
            remove_abandoned(tmp_path / "a", None)
        return descriptor

    monkeypatch.setattr(Path, "mkdir", make_and_lose)
    monkeypatch.setattr(pending_folder, "open_folder", open_and_lose)
    with open_pending_folder(tmp_path / "a") as folder:
        (folder / "x").touch()
    assert first[0] != folder
    assert contents(tmp_path) == {"a/x": b""}


def test_a_shared_place_for_unfinished_things_is_cleared_of_all_that_is_abandoned(
    tmp_path: Path,
) -> None:
    place = tmp_path / "partial"
    place.mkdir()
    for kind in ("file", "folder"):
        subprocess.run([sys.executable, "-c", KILLED, kind, str(place / kind)], check=False)
    assert len(list(place.iterdir())) == 2
    with open_pending_file(tmp_path / "c", within=place) as file:
        file.write(b"c")
        assert len(list(place.iterdir())) == 1
    assert contents(tmp_path) == {"c": b"c"}


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux")
def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, steps: list[str]) -> None:
    write_file(tmp_path / "a.txt", "text")
    assert steps == ["fsync PENDING", "PENDING -> a.txt", f"fsync {tmp_path.name}"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux")
def test_all_in_a_folder_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, steps: list[str]
) -> None:
    with open_pending_folder(tmp_path / "a") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "x").touch()
    assert sorted(steps[:3]) == ["fsync PENDING", "fsync inner", "fsync x"]
    assert steps[3:] == ["PENDING -> a", f"fsync {tmp_path.name}"]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_permissions_are_those_of_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_file(tmp_path / "a", "")
        with open_pending_folder(tmp_path / "b") as folder:
            (folder / "inner").mkdir(mode=0o700)
            (folder / "inner" / "private").touch(mode=0o600)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    file, folder_mode = 0o666 & ~umask, 0o777 & ~umask
    assert modes == {"a": file, "b": folder_mode, "inner": folder_mode, "private": file}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    write_file(tmp_path / "file", "old")
    with open_pending_folder(tmp_path / "folder") as folder:
        (folder / "x").write_bytes(b"old")
    before = contents(tmp_path)
    with pytest.raises(error):
        write_half_a_file(tmp_path / "file", error)
    with pytest.raises(error), open_pending_folder(tmp_path / "folder") as folder:
        write_half_a_file(folder / "x", error)
    assert contents(tmp_path) == before
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    for name in ("old", "new"):
        with open_pending_folder(tmp_path / "a") as folder:
            (folder / name).touch()
    assert contents(tmp_path) == {"a/new": b""}


@pytest.mark.skipif(sys.platform != "linux", reason="needs renameat2")
def test_a_folder_is_there_at_every_moment_of_its_replacement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments: list[dict[str, bytes]] = []

    def after_a_look(call: Callable[..., object], *words: object, **named: object) -> object:
        moments.append(contents(tmp_path / "a"))
        return call(*words, **named)

    for module, name in ((os, "fsync"), (os, "rename"), (shutil, "rmtree")):
        monkeypatch.setattr(module, name, partial(after_a_look, getattr(module, name)))
    with open_pending_folder(tmp_path / "a") as folder:
        (folder / "old").touch()
    moments.clear()
    with open_pending_folder(tmp_path / "a") as folder:
        (folder / "new").touch()
    assert {name for moment in moments for name in moment} == {"old", "new"}
    assert all(len(moment) == 1 for moment in moments)


def test_a_folder_whose_replacement_was_killed_half_way_is_put_back(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with open_pending_folder(path) as folder:
        (folder / "old").touch()
    subprocess.run([sys.executable, "-c", SWAP_KILLED, str(path)], check=False)
    assert not path.exists()
    pending = PendingFolder(path)
    pending.discard()
    assert contents(tmp_path) == {"a/old": b""}


@pytest.mark.parametrize("has_links", [True, False])
def test_what_came_meanwhile_is_not_replaced_unless_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_links: bool
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("a file system without hard links")

    if not has_links:
        monkeypatch.setattr("vsrc.runtime.pending_file.os.link", refuse)
    with pytest.raises(FileExistsError), open_pending_file(tmp_path / "a", overwrite=False):
        (tmp_path / "a").write_bytes(b"another's")
    with pytest.raises(FileExistsError), open_pending_folder(tmp_path / "b", overwrite=False):
        (tmp_path / "b").mkdir()
    with open_pending_file(tmp_path / "c", overwrite=False) as file:
        file.write(b"mine")
    assert contents(tmp_path) == {"a": b"another's", "c": b"mine"}
    assert len(list(tmp_path.iterdir())) == 3


def test_a_link_is_followed_and_a_device_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").touch()
    (tmp_path / "link").symlink_to("real")
    os.mkfifo(tmp_path / "pipe")
    write_file(tmp_path / "link", "through")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_file(tmp_path / "pipe", "down")
    assert os.read(reader, 9) == b"down"
    os.close(reader)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"through"
    assert (tmp_path / "pipe").is_fifo()


def test_text_is_encoded_before_anything_is_made(tmp_path: Path) -> None:
    write_file(tmp_path / "a", "new \u00e9")
    with pytest.raises(UnicodeEncodeError):
        write_file(tmp_path / "a", "half \ud800")
    assert contents(tmp_path) == {"a": "new \u00e9".encode()}


@pytest.mark.parametrize("place", ["none/a.txt", "file/a.txt", "folder"])
def test_a_place_that_cannot_be_written_is_named(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(VsrcError, match=f"{place} .*: "):
        write_file(tmp_path / place, "text")
