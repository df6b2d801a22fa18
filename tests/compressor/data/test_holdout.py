from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vsrc.compressor.data.holdout import split_holdout, validation_clips
from vsrc.compressor.data.ingest import open_library
from vsrc.compressor.data.library import ClipLibrary

Frames = NDArray[np.uint8]
Make = Callable[..., Path]


def opened(folder: Path, tmp_path: Path) -> ClipLibrary:
    return open_library([folder], scale=4, degradation="bi", cache=tmp_path / "cache")


def frames_of(library: ClipLibrary) -> set[tuple[int, int]]:
    return {(shot.clip, t) for shot in library.shots for t in range(shot.start, shot.stop)}


@pytest.mark.parametrize("count", [1, 2, 6])
def test_no_frame_is_in_both_and_none_is_lost(videos: Make, tmp_path: Path, count: int) -> None:
    library = opened(videos(count), tmp_path)
    training_clips, held = split_holdout(library, fraction=0.2)
    assert training_clips.frames > 0
    assert held.frames > 0
    assert not frames_of(training_clips) & frames_of(held)
    assert frames_of(training_clips) | frames_of(held) == frames_of(library)


def test_copies_of_the_only_shot_lose_the_same_end(videos: Make, tmp_path: Path) -> None:
    folder = videos(1)
    (original,) = folder.iterdir()
    shutil.copy(original, folder / f"copy{original.suffix}")
    library = opened(folder, tmp_path)
    training_clips, held = split_holdout(library, fraction=0.2)
    assert len(library.shots) == 2
    seen = {t for _, t in frames_of(training_clips)}
    assert seen.isdisjoint({t for _, t in frames_of(held)})
    assert held.frames > 0
    assert training_clips.frames == 2 * len(seen)


def test_whole_files_are_held_out_when_there_are_enough(videos: Make, tmp_path: Path) -> None:
    training_clips, held = split_holdout(opened(videos(6), tmp_path), fraction=0.4)
    assert {shot.clip for shot in held.shots} & {
        shot.clip for shot in training_clips.shots
    } == set()
    assert held.frames == 24


def test_the_choice_does_not_depend_on_names(videos: Make, tmp_path: Path) -> None:
    folder = videos(6)
    _, held = split_holdout(opened(folder, tmp_path), fraction=0.2)
    for number, path in enumerate(sorted(folder.iterdir(), reverse=True)):
        path.rename(folder / f"renamed{number}.mkv")
    _, again = split_holdout(opened(folder, tmp_path), fraction=0.2)
    hashes = [
        {library.clips[shot.clip].hr.entry.sha256 for shot in library.shots}
        for library in (held, again)
    ]
    assert hashes[0] == hashes[1]


def test_lists_of_the_layout_decide(
    write_pictures: Make, moving_picture: Callable[..., Frames], tmp_path: Path
) -> None:
    for clip in ("000", "001", "002"):
        folder = tmp_path / "reds" / "train_sharp" / clip
        write_pictures(folder, moving_picture(3, 16, 16, seed=int(clip)))
    training_clips, held = split_holdout(opened(tmp_path / "reds", tmp_path))
    assert [held.clips[shot.clip].name for shot in held.shots] == ["reds/train_sharp/000"]
    assert len(training_clips.shots) == 2


def test_validation_clips_are_whole_frames_spread_over_the_shots(
    videos: Make, tmp_path: Path
) -> None:
    clips = validation_clips(opened(videos(2), tmp_path), clip_length=5, count=3)
    assert [tuple(clip.lr.shape) for clip in clips] == [(1, 5, 3, 12, 16)] * 3
    assert [tuple(clip.hr.shape) for clip in clips] == [(1, 5, 3, 48, 64)] * 3
    assert {clip.sources[0].partition("@")[0] for clip in clips} == {"videos/0.mkv", "videos/1.mkv"}


def test_validation_crop_is_centred_and_aligned(videos: Make, tmp_path: Path) -> None:
    library = opened(videos(1), tmp_path)
    (whole,) = validation_clips(library, clip_length=5, count=1)
    (crop,) = validation_clips(library, clip_length=5, count=1, crop=22)
    assert torch.equal(crop.hr, whole.hr[..., 12:32, 20:40])
    assert torch.equal(crop.lr, whole.lr[..., 3:8, 5:10])


def test_validation_clips_are_empty_where_every_shot_is_too_short(
    videos: Make, tmp_path: Path
) -> None:
    assert validation_clips(opened(videos(1), tmp_path), clip_length=13, count=2) == []
