"""A disk that fills up: what is finished stays, and the same command ends the job on a larger."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from vsrc.cli import main
from vsrc.runtime.encode import picture_writer, segment_encoder
from vsrc.runtime.errors import DiskFullError
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer

Make = Callable[..., Any]


class Disk:
    """A file system in memory that holds so many kB."""

    def __init__(self, path: Path, kilobytes: int) -> None:
        self.path = path
        path.mkdir()
        self._mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs")

    def resize(self, kilobytes: int) -> None:
        self._mount("-o", f"remount,size={kilobytes}k")

    def close(self) -> None:
        subprocess.run(["umount", str(self.path)], check=True)

    def _mount(self, *arguments: str) -> None:
        command = ["mount", *arguments, str(self.path)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting a small tmpfs needs root, and a system that lets it")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    small = Disk(tmp_path / "disk", 48)
    yield small
    small.close()


def left_on(disk: Disk) -> list[str]:
    return sorted(path.name for path in disk.path.iterdir())


def test_a_video_goes_on_when_there_is_room(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    disk: Disk,
    write_clip: Make,
    moving: Make,
    enlarger: Make,
) -> None:
    monkeypatch.setattr(segment_encoder, "_FRAMES", 8)
    source = write_clip(tmp_path / "a.mp4", moving(60), sound=True)
    whole = tmp_path / "x.mp4"
    infer(InferConfig((source,), whole, preset="ultrafast"), session=enlarger())
    assert whole.stat().st_size > 48_000
    config = InferConfig((source,), disk.path / "x.mp4", preset="ultrafast")
    for kilobytes in (48, 72):
        disk.resize(kilobytes)
        with pytest.raises(DiskFullError, match=r"disk/[xp].* \d+ frames .*again"):
            infer(config, session=enlarger())
        assert left_on(disk) == [".x.mp4.vsrc-resume"]  # the unfinished file gave its room back
    disk.resize(400)
    session = enlarger()
    infer(config, session=session)
    assert 0 < len(session.fed) < 40
    assert (disk.path / "x.mp4").read_bytes() == whole.read_bytes()
    assert left_on(disk) == ["x.mp4"]


def test_pictures_go_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: Disk, clip: Path, enlarger: Make
) -> None:
    monkeypatch.setattr(picture_writer, "_SEGMENT_FRAMES", 4)
    monkeypatch.setattr(
        "vsrc.runtime.encode.targets._PNG_BYTES_PER_PIXEL", 0.1
    )  # or it would not begin
    infer(InferConfig((clip,), tmp_path / "p" / "%02d.png"), session=enlarger())
    config = InferConfig((clip,), disk.path / "p" / "%02d.png")
    with pytest.raises(DiskFullError, match=r"disk/[xp].* \d+ frames .*again"):
        infer(config, session=enlarger())
    assert left_on(disk) == [".p.vsrc-resume"]
    disk.resize(2000)
    session = enlarger()
    infer(config, session=session)
    assert 0 < len(session.fed) < 24
    for file in (tmp_path / "p").iterdir():
        assert (disk.path / "p" / file.name).read_bytes() == file.read_bytes()
    assert left_on(disk) == ["p"]


def test_the_command_says_it_in_one_line_with_status_1(
    disk: Disk, clip: Path, tiny_package: Path
) -> None:
    output = disk.path / "x.mkv"
    arguments = ["infer", str(clip), "-m", str(tiny_package), "-o", str(output), "--codec", "ffv1"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].count("No space left on device") == 1
    assert left_on(disk) == []  # nothing was finished, so nothing is kept
