"""Where results go, and what is refused before anything is decoded."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from vsrc.runtime.decode.sources import Source
from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.encode.targets import check_space, check_target, plan_targets
from vsrc.runtime.errors import MediaError, OutputError


def video(name: str) -> Source:
    return Source(name, (Path(name),), is_pictures=False)


def row(name: str) -> Source:
    return Source(name, (Path(name) / "1.png", Path(name) / "2.png"), is_pictures=True)


def test_one_video_goes_to_the_file_named() -> None:
    (target,) = plan_targets([video("in/a.mp4")], Path("b.mkv"))
    assert (target.path, target.is_pictures) == (Path("b.mkv"), False)


def test_a_pattern_asks_for_pictures() -> None:
    (target,) = plan_targets([video("a.mp4")], Path("out/f_%04d.png"))
    assert (target.path, target.is_pictures, target.pattern) == (Path("out"), True, "f_%04d.png")


@pytest.mark.parametrize("name", ["a.png", "a_%s.png", "a_%d_%d.png", "%100%d.png"])
def test_pictures_need_one_number(name: str) -> None:
    with pytest.raises(ValueError, match=r"out/%08d\.png"):
        plan_targets([video("a.mp4")], Path(name))


def test_one_frame_of_a_video_goes_to_one_image() -> None:
    (target,) = plan_targets([video("a.mp4")], Path("out/poster.png"), frames=1)
    assert target.is_one_picture
    assert target.result_path == Path("out/poster.png")
    with pytest.raises(ValueError, match="--frames 1"):
        plan_targets([video("a.mp4")], Path("out/poster.png"), frames=2)


def test_a_folder_takes_each_source_under_its_name() -> None:
    sources = [video("x/a.mp4"), video("x/b.webm"), row("x/frames")]
    targets = plan_targets(sources, Path("out"))
    assert [target.path for target in targets] == [
        Path("out/a.mp4"),
        Path("out/b.mkv"),
        Path("out/x/frames"),
    ]
    (alone,) = plan_targets([row("x/frames")], Path("out"))
    assert (alone.path, alone.pattern) == (Path("out"), "")


MANY = ("a.mkv", "a.gif", "a.mp4", "b.3gp")


def test_several_sources_need_a_folder_and_names_of_their_own() -> None:
    with pytest.raises(ValueError, match=r"2 inputs .*c\.mp4"):
        plan_targets([video("a.mp4"), video("b.mp4")], Path("c.mp4"))
    with pytest.raises(ValueError, match=r"x/a\.mp4 and y/a\.mp4 .* out/a\.mp4"):
        plan_targets([video("x/a.mp4"), video("y/a.mp4")], Path("out"))
    paths = [target.path for target in plan_targets(list(map(video, MANY)), Path("out"))]
    assert paths == [Path("out", name) for name in ("a.mkv", "a.gif.mkv", "a.mp4", "b.mkv")]
    with pytest.raises(MediaError, match=r"is a URL.*vsrc infer IN -o - \| ffmpeg"):
        plan_targets([video("a.mp4")], Path("rtmp://host/live"))


def refuse(source: Source, output: Path, words: str, *, overwrite: bool = False) -> None:
    (target,) = plan_targets([source], output)
    with pytest.raises(OutputError, match=words):
        check_target(target, overwrite=overwrite)


def test_what_exists_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    output.write_text("old")
    refuse(video("a.mp4"), output, r"out\.mp4 exists; add --overwrite")
    check_target(plan_targets([video("a.mp4")], output)[0], overwrite=True)
    folder = tmp_path / "sr"
    folder.mkdir()
    check_target(plan_targets([row("x")], folder)[0], overwrite=False)  # empty: nothing to lose
    (folder / "1.png").touch()
    refuse(row("x"), folder, "contains images; add --overwrite")
    refuse(row("x"), tmp_path / "out.mp4" / "%d.png", "is a file")


def test_what_is_found_in_a_folder_keeps_its_tree() -> None:
    sources = [
        Source(name, (Path("lib", name),), is_pictures=False, below=Path(name))
        for name in ("s1/ep1.mp4", "s2/ep1.mp4", "s2/ep1.avi")
    ]
    paths = [target.path for target in plan_targets(sources, Path("out"))]
    assert paths == [Path("out", name) for name in ("s1/ep1.mp4", "s2/ep1.mp4", "s2/ep1.mkv")]


def test_a_device_or_pipe_is_not_replaced_by_a_video(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mkv")
    refuse(video("a.mp4"), tmp_path / "a.mkv", "a device or a pipe", overwrite=True)


def test_a_disk_that_cannot_hold_the_result_is_named_before_the_start(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = VideoReader(clip).info
    usage = shutil.disk_usage(tmp_path)

    def nearly_full(_path: object) -> Any:  # noqa: ANN401
        return usage._replace(free=1_000_000)

    monkeypatch.setattr(shutil, "disk_usage", nearly_full)
    check_space(tmp_path, info, frames=24, scale=4, pictures=True)
    with pytest.raises(MediaError, match=r"1\.0 MB .*100 .*192x128 .*2\.5 MB"):
        check_space(tmp_path, info, frames=100, scale=4, pictures=True)
    check_space(tmp_path, info, frames=100, scale=4, pictures=False)
    with pytest.raises(MediaError, match="write elsewhere"):
        check_space(tmp_path, info, frames=100_000, scale=4, pictures=False)
    # 0.6 MB for the file, and as much again for the parts that it is put together from.
    with pytest.raises(MediaError, match="need 1\\.2 MB"):
        check_space(tmp_path, info, frames=20_000, scale=4, pictures=False)
    check_space(tmp_path, info, frames=20_000, scale=4, pictures=False, kept=20_000)
    check_space(tmp_path, info, frames=100, scale=4, pictures=True, kept=70)
