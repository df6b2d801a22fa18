"""A disk that fills up: what is finished stays, and the same command ends the job on a larger."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from click.testing import CliRunner

from vsrc.cli import main
from vsrc.runtime.encode import picture_writer, segment_encoder
from vsrc.runtime.errors import DiskFullError, MediaError
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
        with pytest.raises(DiskFullError, match=r"disk/[xp].* \d+ frames saved; run the same"):
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
    with pytest.raises(DiskFullError, match=r"disk/[xp].* \d+ frames saved; run the same"):
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
    assert left_on(disk) == []  # nothing was finished, so nothing was saved


def test_the_frames_of_a_gap_in_time_need_no_disk(
    tmp_path: Path, write_clip: Make, moving: Make, enlarger: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = 20 * 3600 * 25
    stamps = [*range(12), *range(hours, hours + 12)]
    source = write_clip(tmp_path / "gap.mkv", moving(24), pts=stamps, options={"bf": "0"})
    monkeypatch.setattr("vsrc.runtime.decode.probe._LEAST_BYTES", 1)  # nothing else limits it
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=2_000))
    output = tmp_path / "out.mkv"
    done = infer(InferConfig((source,), output, preset="ultrafast"), session=enlarger())
    assert done.files[0].frames == 24
    with av.open(str(output)) as container:
        video = container.streams.video[0]
        times = [frame.time for frame in container.decode(video)]
    assert times == [float(Fraction(stamp, 25)) for stamp in stamps]


@pytest.mark.parametrize("name", ["a.m3u8", "a.mpd"])
def test_an_output_of_many_files_is_refused(
    tmp_path: Path, clip: Path, enlarger: Make, name: str
) -> None:
    with pytest.raises(MediaError, match=r"many other files.*ffmpeg -i OUT\.mkv"):
        infer(InferConfig((clip,), tmp_path / name), session=enlarger())
    assert list(tmp_path.iterdir()) == []
