from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vsrc.runtime.decode.clip_layouts import find_clips
from vsrc.runtime.decode.clip_source import ClipSource
from vsrc.runtime.decode.clips.clip_frames import ClipFrames, read_picture
from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.errors import MediaError

Frames = NDArray[np.uint8]


def source(path: Path) -> ClipSource:
    return ClipSource(path.name, (path,))


def test_frames_of_a_lossless_video_are_those_that_were_written(
    tmp_path: Path, write_clip: Callable[..., Path], moving: Callable[..., Frames]
) -> None:
    frames = moving(5)
    path = write_clip(tmp_path / "a.mkv", frames, codec="ffv1", pix_fmt="bgr0")
    clip = ClipFrames(source(path))
    np.testing.assert_array_equal(np.stack(list(clip)), frames)
    assert clip.notes == ()
    assert ClipFrames(source(path)).estimate() == (5, 32, 48)


@pytest.mark.parametrize("shown", [0, 2, 5])
def test_a_closed_reader_is_freed_at_once(
    tmp_path: Path,
    write_clip: Callable[..., Path],
    moving: Callable[..., Frames],
    shown: int,
) -> None:
    # A decoder that waits for the garbage collector hangs a forked worker that happens to free it.
    path = write_clip(tmp_path / "a.mp4", moving(5))
    gc.disable()
    try:
        reader = VideoReader(path)
        list(islice(reader, shown))
        reader.close()
        gone = weakref.ref(reader)
        del reader
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(("transfer", "message"), [(16, "is HDR"), (18, "is HDR")])
def test_hdr_is_not_learnt_from(
    tmp_path: Path,
    write_clip: Callable[..., Path],
    moving: Callable[..., Frames],
    transfer: int,
    message: str,
) -> None:
    path = write_clip(tmp_path / "a.mp4", moving(2), colour=(9, transfer, 9, 1))
    with pytest.raises(MediaError, match=message):
        list(ClipFrames(source(path)))


def test_a_picture_in_grey_has_three_equal_channels(reference: Path) -> None:
    grey = reference / "data" / "set14_x4" / "img_003_SRF_4_HR.png"
    picture = read_picture(grey)
    assert picture.shape[2] == 3
    assert (picture[..., 0] == picture[..., 2]).all()


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "no.png"
    path.write_bytes(b"nothing")
    with pytest.raises(MediaError, match=r"no\.png"):
        read_picture(path)
    (clip,) = find_clips(tmp_path).clips
    with pytest.raises(MediaError, match=str(tmp_path)):
        list(ClipFrames(clip))
