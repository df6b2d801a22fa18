from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vsrc.compressor.data import cache as cache_module
from vsrc.compressor.data.dataset import ClipDataset
from vsrc.compressor.data.ingest import open_library
from vsrc.compressor.data.library import ClipLibrary, IngestProgress
from vsrc.runtime.errors import DataError
from vsrc.runtime.hashing import file_sha256
from vsrc.runtime.pending_folder import PendingFolder
from vsrc.runtime.picture.bicubic import downscale
from vsrc.runtime.picture.fast_resize import gaussian_down

Frames = NDArray[np.uint8]
Make = Callable[..., Path]
Moving = Callable[..., Frames]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def opened(folder: Path, cache: Path, **options: object) -> ClipLibrary:
    given = {"scale": 4, "degradation": "bi", **options}
    return open_library([folder], cache=cache, **given)  # type: ignore[arg-type]


def first_frame(library: ClipLibrary, clip: int = 0) -> Frames:
    return np.asarray(library.clips[clip].hr_frames(library.scale)[0].transpose(1, 2, 0))


def test_frames_in_the_cache_are_those_of_the_source(
    videos: Make, cache: Path, moving_picture: Moving
) -> None:
    library = opened(videos(1), cache)
    expected = moving_picture(12, 48, 64, seed=0).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(library.clips[0].hr_frames(4), expected)
    assert library.frames == 12


def test_pictures_and_a_lossless_video_of_them_decode_alike(
    write_pictures: Make, write_video: Make, cache: Path, moving_picture: Moving, tmp_path: Path
) -> None:
    pictures = moving_picture(6, 32, 40, seed=1)
    write_pictures(tmp_path / "data" / "frames", pictures, name="im{}.png")
    write_video(tmp_path / "data" / "video.mkv", pictures)
    frames, video = opened(tmp_path / "data", cache).clips
    np.testing.assert_array_equal(frames.hr_frames(4), video.hr_frames(4))


def test_the_second_time_nothing_is_decoded(
    videos: Make, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = videos()
    first = opened(folder, cache)
    monkeypatch.setattr(cache_module, "ClipFrames", None)
    monkeypatch.setattr(cache_module, "file_sha256", None)
    again = opened(folder, cache)
    assert again.sha256 == first.sha256
    np.testing.assert_array_equal(first_frame(again), first_frame(first))


def test_the_cache_knows_a_file_by_its_contents(videos: Make, cache: Path) -> None:
    folder = videos(2)
    before = opened(folder, cache)
    (folder / "0.mkv").rename(folder / "renamed.mkv")
    shutil.copy(folder / "1.mkv", folder / "renamed.mkv")
    after = opened(folder, cache)
    (twice,) = {clip.hr.folder for clip in after.clips}
    assert twice == before.clips[1].hr.folder


@pytest.mark.parametrize("damage", ["short frames", "no json", "broken json", "odd json"])
def test_a_damaged_cache_is_decoded_again(
    videos: Make, cache: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = videos(1)
    clip = opened(folder, cache).clips[0].hr
    intact = first_frame(opened(folder, cache)).copy()
    if damage == "short frames":
        os.truncate(clip.folder / "hr.u8", 1000)
    elif damage == "no json":
        (clip.folder / "clip.json").unlink()
    else:
        text = {"broken json": '{"frames": 1', "odd json": '{"frames": "many"}'}[damage]
        (clip.folder / "clip.json").write_text(text)
    np.testing.assert_array_equal(first_frame(opened(folder, cache)), intact)
    assert damage == "no json" or "is damaged" in caplog.text


@pytest.mark.parametrize("name", ["lr-bi-x4.u8", "shots-*.json"])
def test_damaged_derived_files_are_made_again(videos: Make, cache: Path, name: str) -> None:
    folder = videos(1)
    library = opened(folder, cache)
    lr = np.array(library.clips[0].lr_frames(4))
    (path,) = library.clips[0].hr.folder.glob(name)
    path.write_text("[0, ")
    again = opened(folder, cache)
    np.testing.assert_array_equal(again.clips[0].lr_frames(4), lr)
    assert again.shots == library.shots


def test_a_full_disk_says_what_to_do_and_leaves_nothing_half_written(
    videos: Make, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = videos(1)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module, "_write", refuse)
    with pytest.raises(DataError, match=r"cache .*No space .*cache=DIR.*max_height=360"):
        opened(folder, cache)
    monkeypatch.undo()
    assert not list((cache / "clips").glob("*"))
    assert not list((cache / "partial").iterdir())
    assert opened(folder, cache).frames == 12


def test_shortage_of_space_is_seen_before_decoding(
    videos: Make, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = videos(1)
    usage = shutil.disk_usage(folder)._replace(free=50_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"0\.111 MB .*0\.05 MB"):
        opened(folder, cache)


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
    assert all("not a video that FFmpeg can read" in skipped.reason for skipped in library.skipped)


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


def test_bd_is_the_blurred_and_thinned_frame(videos: Make, cache: Path) -> None:
    clip = opened(videos(1), cache, degradation="bd").clips[0]
    low = clip.lr_frames(4)
    assert low is not None
    np.testing.assert_array_equal(low[5], gaussian_down(clip.hr_frames(4)[5], 4))


def test_real_degrades_each_item_anew_but_always_alike(videos: Make, cache: Path) -> None:
    library = opened(videos(1), cache, degradation="real")
    assert library.clips[0].lr_frames(4) is None
    data = ClipDataset(library, clip_length=3, patch=32, seed=1)
    items = [data[index] for index in range(4)]
    assert all((data[i].lr == items[i].lr).all() for i in range(4))
    assert items[0].lr.shape == (3, 3, 8, 8)


class TestTwins:
    @pytest.fixture
    def pairs(
        self, write_pictures: Make, moving_picture: Moving, tmp_path: Path
    ) -> Callable[[str, str], Path]:
        def make(high: str, low: str) -> Path:
            write_pictures(tmp_path / "pairs" / high / "a", moving_picture(4, 32, 48, seed=0))
            write_pictures(tmp_path / "pairs" / low / "a", moving_picture(4, 8, 12, seed=9))
            return tmp_path / "pairs"

        return make

    def test_given_takes_the_lr_that_is_there(
        self, pairs: Callable[[str, str], Path], cache: Path, moving_picture: Moving
    ) -> None:
        low = opened(pairs("hr", "lr"), cache, degradation="given").clips[0].lr_frames(4)
        np.testing.assert_array_equal(low, moving_picture(4, 8, 12, seed=9).transpose(0, 3, 1, 2))

    def test_a_named_twin_is_taken_for_its_degradation_alone(
        self, pairs: Callable[[str, str], Path], cache: Path, moving_picture: Moving
    ) -> None:
        twin = moving_picture(4, 8, 12, seed=9).transpose(0, 3, 1, 2)
        folder = pairs("GT", "BIx4")
        assert np.array_equal(twin, opened(folder, cache).clips[0].lr_frames(4))  # type: ignore[arg-type]
        made = opened(folder, cache, degradation="bd").clips[0].lr_frames(4)
        assert not np.array_equal(twin, made)  # type: ignore[arg-type]

    def test_twins_left_aside_are_said(
        self, pairs: Callable[[str, str], Path], cache: Path
    ) -> None:
        (line,) = opened(pairs("hr", "lr"), cache).layouts
        assert "LR versions (given) are not used: degradation is bi" in line

    def test_a_twin_of_another_size_is_refused(
        self, pairs: Callable[[str, str], Path], cache: Path
    ) -> None:
        folder = pairs("hr", "lr")
        with pytest.raises(
            DataError, match=r"lr/a .*4 frames, 12x8.*hr/a .*4 frames, 48x32.* scale=2"
        ):
            opened(folder, cache, degradation="given", scale=2)
        with pytest.raises(DataError, match=r"24x16.* scale=4.*max_height"):
            opened(folder, cache, degradation="given", max_height=16)

    def test_given_without_a_twin_is_refused(self, videos: Make, cache: Path) -> None:
        with pytest.raises(DataError, match=r"0\.mkv .*'given'"):
            opened(videos(1), cache, degradation="given")


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


def test_what_a_killed_process_left_is_removed(videos: Make, cache: Path) -> None:
    place = cache / "partial"
    place.mkdir(parents=True)
    abandoned = place / ".clip.01234567.pending"
    abandoned.mkdir()
    in_use = PendingFolder(place / "clip")
    opened(videos(1), cache)
    assert list(place.iterdir()) == [in_use.folder]
    in_use.discard()


def test_two_processes_may_decode_the_same_clip_at_once(
    videos: Make, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = videos(1)
    write = cache_module._write

    faster: list[ClipLibrary] = []

    def overtaken(*arguments: Any) -> Any:  # noqa: ANN401
        monkeypatch.setattr(cache_module, "_write", write)
        faster.append(opened(folder, cache))
        return write(*arguments)

    monkeypatch.setattr(cache_module, "_write", overtaken)
    assert opened(folder, cache).frames == 12
    assert opened(folder, cache).frames == 12
    # What the faster one made is still there, LR included: it trains on it already.
    (clip,) = faster[0].clips
    assert np.array(clip.lr_frames(4)).shape[0] == 12
    assert np.array(clip.hr.frames()).shape[0] == 12


def test_what_the_faster_process_derived_stays(
    videos: Make, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = videos(1)
    write, derived = cache_module._write, []

    def overtaken(*arguments: Any) -> Any:  # noqa: ANN401
        monkeypatch.setattr(cache_module, "_write", write)
        (clip,) = opened(folder, cache).clips
        (clip.hr.folder / "mark").touch()
        derived.append(clip.hr.folder / "mark")
        return write(*arguments)

    monkeypatch.setattr(cache_module, "_write", overtaken)
    opened(folder, cache)
    assert derived[0].exists()  # the folder was not removed under the one that uses it


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


@pytest.mark.parametrize("scale", [2, 4])
def test_an_lr_version_of_another_scale_is_made_here_and_that_is_said_once(
    write_pictures: Make,
    moving_picture: Moving,
    cache: Path,
    tmp_path: Path,
    scale: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    reds = tmp_path / "REDS"
    for clip in ("001", "002"):
        hr = moving_picture(3, 32, 48, seed=int(clip))
        write_pictures(reds / "train_sharp" / clip, hr)
        low = gaussian_down(hr.transpose(0, 3, 1, 2), 4).transpose(0, 2, 3, 1)
        write_pictures(reds / "train_sharp_bicubic" / "X4" / clip, low)
    first, _ = opened(reds, cache, scale=scale).clips
    found = first.lr_frames(scale)
    assert found is not None
    frame = moving_picture(3, 32, 48, seed=1)[1]
    own = downscale(frame, scale).transpose(2, 0, 1)
    assert np.array_equal(found[1], own) == (scale == 2)  # at 4 the version is read as it is
    said = [record for record in caplog.messages if "LR is made by bi instead" in record]
    assert len(said) == (scale == 2)
