from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from numpy.typing import NDArray

from vsrc.cli import main
from vsrc.compressor.data.check import check_folder
from vsrc.runtime.picture.fast_resize import gaussian_down

Frames = NDArray[np.uint8]
Make = Callable[..., Path]
Moving = Callable[..., Frames]


def test_report_counts_clips_frames_shots_and_broken_files(
    videos: Make, write_video: Make, moving_picture: Moving
) -> None:
    folder = videos(2)
    shots = [moving_picture(frames, 48, 64, seed=frames) for frames in (7, 9)]
    write_video(folder / "cut.mkv", np.concatenate(shots))
    (folder / "broken.mp4").write_bytes(b"nothing")
    report = check_folder(folder)
    assert (report.clips, report.broken, report.frames, report.shots) == (3, 1, 40, 4)
    details = {clip.name: clip for clip in report.details}
    assert details["cut.mkv"].cuts == (7,)
    assert (details["0.mkv"].width, details["0.mkv"].height) == (64, 48)
    assert "not a video" in details["broken.mp4"].error


def test_degradation_of_twins_is_guessed(
    write_pictures: Make, moving_picture: Moving, tmp_path: Path
) -> None:
    hr = moving_picture(3, 32, 48, seed=0)
    lr = gaussian_down(hr.transpose(0, 3, 1, 2), 4).transpose(0, 2, 3, 1)
    write_pictures(tmp_path / "data" / "hr" / "a", hr)
    write_pictures(tmp_path / "data" / "lr" / "a", lr)
    (clip,) = check_folder(tmp_path / "data").details
    assert clip.twins[0].guess == "bd, bit-exact"
    assert "LR version (given) looks like bd, bit-exact" in str(clip)


def test_twins_that_do_not_fit_are_said(
    write_pictures: Make, moving_picture: Moving, tmp_path: Path
) -> None:
    write_pictures(tmp_path / "data" / "hr" / "a", moving_picture(2, 32, 48, seed=0))
    write_pictures(tmp_path / "data" / "lr" / "a", moving_picture(2, 10, 12, seed=0))
    (clip,) = check_folder(tmp_path / "data").details
    assert "HR 48x32 and LR 12x10 do not have an integer size ratio" in clip.twins[0].guess


def test_command_prints_json_and_fails_when_files_are_broken(videos: Make) -> None:
    folder = videos(1)
    fine = CliRunner().invoke(main, ["data", "check", str(folder), "--json"])
    assert fine.exit_code == 0
    assert json.loads(fine.stdout)["frames"] == 12
    (folder / "broken.mp4").write_bytes(b"nothing")
    failed = CliRunner().invoke(main, ["data", "check", str(folder)])
    assert failed.exit_code == 1
    assert "0.mkv: 64x48, 12 frames, 1 shot" in failed.stdout
    assert "1 of 2 clips" in failed.stderr


def test_command_says_what_a_folder_without_videos_lacks(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["data", "check", str(tmp_path)])
    assert result.exit_code == 1
    assert result.stderr.startswith("vsrc: ")
    assert "mp4" in result.stderr
