"""Clips of a folder: what is found in it, what is left out and said, and how it is cut."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from support.libraries import opened
from vsrc.compressor.data import cache as cache_module
from vsrc.compressor.data.dataset import ClipDataset
from vsrc.compressor.data.library import IngestProgress
from vsrc.runtime.errors import DataError
from vsrc.runtime.hashing import file_sha256
from vsrc.runtime.picture.bicubic import downscale

Frames = NDArray[np.uint8]
Make = Callable[..., Path]
Moving = Callable[..., Frames]


def test_pictures_and_a_lossless_video_of_them_decode_alike(
    write_pictures: Make, write_video: Make, cache: Path, moving_picture: Moving, tmp_path: Path
) -> None:
    pictures = moving_picture(6, 32, 40, seed=1)
    write_pictures(tmp_path / "data" / "frames", pictures, name="im{}.png")
    write_video(tmp_path / "data" / "video.mkv", pictures)
    frames, video = opened(tmp_path / "data", cache).clips
    np.testing.assert_array_equal(frames.hr_frames(4), video.hr_frames(4))


def test_broken_files_are_named_and_the_rest_is_used(videos: Make, cache: Path) -> None:
    folder = videos(2)
    (folder / "broken.mp4").write_bytes(b"\0" * 1000)
    (folder / "empty.mp4").touch()
    library = opened(folder, cache)
    assert [clip.name for clip in library.clips] == ["videos/0.mkv", "videos/1.mkv"]
    assert [skipped.name for skipped in library.skipped] == [
        "videos/broken.mp4",
        "videos/empty.mp4",
    ]
    broken, empty = (skipped.reason for skipped in library.skipped)
    assert "not a video that FFmpeg can read" in broken
    assert "empty.mp4 is empty" in empty


def test_a_folder_of_broken_files_alone_is_an_error(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.mp4").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"1 .*data .*a\.mp4"):
        opened(tmp_path / "data", cache)


def test_a_truncated_video_gives_the_frames_it_has_and_a_note(videos: Make, cache: Path) -> None:
    folder = videos(1, frames=60, height=96, width=128)
    path = folder / "0.mkv"
    os.truncate(path, path.stat().st_size * 2 // 3)
    library = opened(folder, cache)
    assert 20 < library.frames < 60
    assert "it is truncated" in library.clips[0].hr.entry.notes[0]


def test_a_damaged_picture_is_left_out_and_noted(
    write_pictures: Make, moving_picture: Moving, cache: Path, tmp_path: Path
) -> None:
    folder = write_pictures(tmp_path / "data" / "clip", moving_picture(5, 32, 32, seed=0))
    (folder / "00000002.png").write_bytes(b"no picture")
    library = opened(tmp_path / "data", cache)
    assert library.frames == 4
    assert "00000002.png" in library.clips[0].hr.entry.notes[0]


def test_pictures_of_two_sizes_are_no_clip(
    write_pictures: Make, moving_picture: Moving, cache: Path, tmp_path: Path
) -> None:
    folder = write_pictures(tmp_path / "data" / "clip", moving_picture(2, 32, 32, seed=0))
    write_pictures(folder, moving_picture(1, 32, 40, seed=0), name="last{}.png")
    with pytest.raises(DataError, match=r"last0\.png .*40x32.* 00000000\.png .*32x32"):
        opened(tmp_path / "data", cache)


@pytest.mark.parametrize("size", [(49, 66), (51, 67)])
def test_odd_sizes_are_cropped_to_the_scale_as_benchmarks_do(
    videos: Make, cache: Path, moving_picture: Moving, size: tuple[int, int]
) -> None:
    clip = opened(videos(1, height=size[0], width=size[1]), cache).clips[0]
    frame = moving_picture(12, *size, seed=0)[3, :48, :64]
    np.testing.assert_array_equal(clip.hr_frames(4)[3], frame.transpose(2, 0, 1))
    low = clip.lr_frames(4)
    assert low is not None
    np.testing.assert_array_equal(low[3], downscale(frame, 4).transpose(2, 0, 1))


def test_frames_smaller_than_the_scale_are_skipped(
    videos: Make, write_pictures: Make, cache: Path
) -> None:
    folder = videos(1)
    write_pictures(folder / "tiny", np.zeros((2, 3, 9, 3), np.uint8))
    (skipped,) = opened(folder, cache).skipped
    assert "is 9x3, too small for scale=4" in skipped.reason


def test_max_height_shrinks_and_keeps_the_shape(
    videos: Make, cache: Path, moving_picture: Moving
) -> None:
    folder = videos(1, height=48, width=64)
    clip = opened(folder, cache, max_height=24).clips[0]
    assert clip.hr.shape == (12, 3, 24, 32)
    exact = downscale(moving_picture(12, 48, 64, seed=0)[0], 2).transpose(2, 0, 1).astype(int)
    ours = clip.hr_frames(4)[0].astype(int)
    # float32 sums may round the other way where the exact sum is near a half; the border differs.
    assert np.abs(ours - exact)[:, 3:-3, 3:-3].max() <= 1
    assert opened(folder, cache).clips[0].hr.shape == (12, 3, 48, 64)
    assert opened(folder, cache, max_height=48).clips[0].hr.shape == (12, 3, 48, 64)


def test_progress_counts_every_source(videos: Make, cache: Path) -> None:
    seen: list[IngestProgress] = []
    opened(videos(3), cache, progress=seen.append)
    assert [(now.done, now.total, now.name) for now in seen] == [
        (n, 3, f"videos/{n - 1}.mkv") for n in (1, 2, 3)
    ]


def test_shots_end_at_cuts(
    write_video: Make, moving_picture: Moving, cache: Path, tmp_path: Path
) -> None:
    shots = [moving_picture(frames, 48, 64, seed=frames) for frames in (7, 9)]
    write_video(tmp_path / "data" / "a.mkv", np.concatenate(shots))
    library = opened(tmp_path / "data", cache)
    assert [(shot.start, shot.stop) for shot in library.shots] == [(0, 7), (7, 16)]
    data = ClipDataset(library, clip_length=6, patch=16, seed=0)
    starts = {int(data[i].source.rpartition("@")[2]) for i in range(60)}
    assert starts == {0, 1, 7, 8, 9, 10}


def test_progress_tells_of_long_sources_on_the_way(videos: Make, cache: Path) -> None:
    seen: list[IngestProgress] = []
    folder = videos(1, frames=120, height=16, width=16)
    opened(folder, cache, progress=seen.append)
    assert [(now.done, now.frames) for now in seen] == [(0, 50), (0, 100), (1, 0)]


def test_a_file_that_may_not_be_read_is_skipped(
    videos: Make, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = videos(2)

    def read(path: Path) -> str:
        if path.name == "1.mkv":
            raise PermissionError(13, "Permission denied")
        return file_sha256(path)

    monkeypatch.setattr(cache_module, "file_sha256", read)
    (skipped,) = opened(folder, cache).skipped
    assert skipped.reason.endswith("1.mkv cannot be read: Permission denied")
