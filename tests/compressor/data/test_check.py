from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from vsrc.cli import main
from vsrc.compressor.data.check import TrainingNeeds, check_folder
from vsrc.compressor.data.ingest import open_library
from vsrc.runtime.errors import DataError
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
    fine = CliRunner().invoke(main, ["data", "check", str(folder), "--patch", "32", "--json"])
    assert fine.exit_code == 0
    assert json.loads(fine.stdout)["frames"] == 12
    (folder / "broken.mp4").write_bytes(b"nothing")
    failed = CliRunner().invoke(main, ["data", "check", str(folder), "--patch", "32"])
    assert failed.exit_code == 1
    assert "0.mkv: 64x48 (WxH), 12 frames, 1 shot" in failed.stdout
    assert "1 of 2 clips" in failed.stderr


def test_command_says_what_a_folder_without_videos_lacks(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["data", "check", str(tmp_path)])
    assert result.exit_code == 1
    assert result.stderr.startswith("vsrc: ")
    assert "mp4" in result.stderr


NEEDS = TrainingNeeds(scale=4, patch=32, clip_length=3, degradation="given")


def needs(**changes: object) -> TrainingNeeds:
    return replace(NEEDS, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("hr", "lr", "wanted", "refusal"),
    [
        ((4, 32, 48), (4, 8, 12), NEEDS, ""),
        ((4, 32, 48), (3, 8, 12), NEEDS, "has 3 frames of 12x8; expected 4 frames of 12x8"),
        ((4, 32, 48), (4, 8, 11), NEEDS, "frames of 11x8; expected 4 frames of 12x8 at scale=4"),
        ((4, 32, 48), (4, 16, 24), NEEDS, "frames of 24x16; expected 4 frames of 12x8"),
        ((4, 32, 48), (4, 16, 24), needs(scale=2), ""),
        ((4, 32, 48), (3, 8, 12), needs(degradation="bi"), ""),  # the version is not used
        ((2, 32, 48), (2, 8, 12), NEEDS, "longest shot has 2 frames, fewer than clip_length=3"),
        ((1, 32, 48), (1, 8, 12), NEEDS, "longest shot has 1 frame, fewer than clip_length=3"),
        ((4, 24, 48), (4, 6, 12), NEEDS, "smaller side has 24 pixels, fewer than patch=32"),
    ],
)
def test_what_training_would_refuse_is_said(
    write_pictures: Make,
    moving_picture: Moving,
    tmp_path: Path,
    hr: tuple[int, int, int],
    lr: tuple[int, int, int],
    wanted: TrainingNeeds,
    refusal: str,
) -> None:
    root = tmp_path / "data"
    write_pictures(root / "hr" / "a", moving_picture(*hr, seed=0))
    write_pictures(root / "lr" / "a", moving_picture(*lr, seed=0))
    report = check_folder(root, needs=wanted)
    (clip,) = report.details
    assert refusal in clip.refusal
    assert report.refused == bool(clip.refusal) == bool(refusal)
    # Training itself says the same.
    if "LR version" in clip.refusal:
        with pytest.raises(DataError, match="is no LR of"):
            open_library([root], scale=4, degradation="given", cache=tmp_path / "cache")


def test_missing_frames_are_said(
    write_pictures: Make, moving_picture: Moving, tmp_path: Path
) -> None:
    folder = write_pictures(tmp_path / "data" / "a", moving_picture(6, 32, 32, seed=0))
    (folder / "00000002.png").unlink()
    (folder / "00000003.png").unlink()
    (clip,) = check_folder(tmp_path / "data").details
    assert clip.notes == ("numbers 2 to 3 missing",)
