"""Pictures made upright, compared with what ffmpeg shows."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vsrc.runtime.decode.clips.clip_frames import read_picture
from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.picture.orientation import CODED, orientation_of

Make = Callable[..., Any]

UNIT = 1 << 16
MATRICES = {
    "upright": (UNIT, 0, 0, UNIT),
    "mirrored": (-UNIT, 0, 0, UNIT),
    "upside down": (-UNIT, 0, 0, -UNIT),
    "flipped": (UNIT, 0, 0, -UNIT),
    "clockwise": (0, UNIT, -UNIT, 0),
    "counter-clockwise": (0, -UNIT, UNIT, 0),
    "transposed": (0, UNIT, UNIT, 0),
    "anti-transposed": (0, -UNIT, -UNIT, 0),
}


@pytest.mark.parametrize("which", MATRICES)
def test_a_frame_is_turned_as_ffmpeg_turns_it(
    tmp_path: Path, moving: Make, ffmpeg: Make, which: str
) -> None:
    a, b, c, d = MATRICES[which]
    clip, shown = tmp_path / "a.mov", tmp_path / "a.png"
    with av.open(str(clip), "w") as container:
        stream: Any = container.add_stream("png", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "rgb24"
        stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        container.mux(stream.encode(av.VideoFrame.from_ndarray(moving(1)[0], "rgb24")))
        container.mux(stream.encode(None))
    ffmpeg("-i", clip, "-frames:v", "1", shown)
    with closing(VideoReader(clip)) as reader:
        (frame,) = reader
        upright = reader.info.orientation.upright(frame.rgb)
        assert upright.shape[1::-1] == reader.info.upright_size
    assert np.array_equal(upright, read_picture(shown))


def test_without_a_matrix_nothing_is_copied() -> None:
    picture = np.zeros((2, 3, 3), np.uint8)
    assert orientation_of(None) == CODED
    assert CODED.upright(picture) is picture


def test_a_photograph_is_turned_as_its_exif_says(
    tmp_path: Path, moving: Make, ffmpeg: Make
) -> None:
    """Orientation 6: the camera was held upright; the picture lies on its left side."""
    plain, photograph, shown = (tmp_path / name for name in ("a.jpg", "b.jpg", "c.png"))
    with av.open(str(plain), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuvj444p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(moving(1)[0], "rgb24")))
        container.mux(stream.encode(None))
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
    data = plain.read_bytes()
    photograph.write_bytes(
        data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    )
    ffmpeg("-i", plain, "-vf", "transpose=clock", shown)
    found, expected = (read_picture(path).astype(int) for path in (photograph, shown))
    assert found.shape == (48, 32, 3)
    assert np.abs(found - expected).mean() < 2
