"""The cache of decoded clips: what it keeps, and who may damage or share it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from support.libraries import first_frame, opened
from vsrc.compressor.data import cache as cache_module
from vsrc.compressor.data.library import ClipLibrary
from vsrc.runtime.errors import DataError
from vsrc.runtime.pending_folder import PendingFolder

Frames = NDArray[np.uint8]
Make = Callable[..., Path]
Moving = Callable[..., Frames]


def test_frames_in_the_cache_are_those_of_the_source(
    videos: Make, cache: Path, moving_picture: Moving
) -> None:
    library = opened(videos(1), cache)
    expected = moving_picture(12, 48, 64, seed=0).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(library.clips[0].hr_frames(4), expected)
    assert library.frames == 12


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


def test_a_video_replaced_with_size_and_time_kept_is_decoded_again(
    videos: Make, cache: Path
) -> None:
    folder = videos(1)
    path = folder / "0.mkv"
    before, status = opened(folder, cache), path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert opened(folder, cache).clips[0].hr.folder != before.clips[0].hr.folder


def test_an_image_replaced_with_size_and_time_kept_is_decoded_again(
    write_pictures: Make, moving_picture: Moving, tmp_path: Path, cache: Path
) -> None:
    folder = write_pictures(tmp_path / "data" / "clip", moving_picture(4, 48, 64, seed=0))
    path = folder / "00000002.png"
    before, status = opened(folder.parent, cache), path.stat()
    data = bytearray(path.read_bytes())
    place = data.index(b"IEND") - 9  # of the last byte of the compressed picture
    data[place] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = opened(folder.parent, cache)
    assert after.clips[0].hr.folder != before.clips[0].hr.folder
    assert after.sha256 != before.sha256


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


@pytest.mark.parametrize("moment", ["_write", "_estimate_bytes"])  # the second: after the look
def test_what_the_faster_process_derived_stays(
    videos: Make, cache: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    folder = videos(1)
    original, derived = getattr(cache_module, moment), []

    def overtaken(*arguments: Any) -> Any:  # noqa: ANN401
        monkeypatch.setattr(cache_module, moment, original)
        (clip,) = opened(folder, cache).clips
        (clip.hr.folder / "mark").touch()
        derived.append(clip.hr.folder / "mark")
        return original(*arguments)

    monkeypatch.setattr(cache_module, moment, overtaken)
    assert opened(folder, cache).frames == 12
    assert derived[0].exists()  # the folder was not removed under the one that uses it
