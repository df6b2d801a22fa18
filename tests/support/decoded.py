"""What a video file holds, read as `infer` reads it."""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction
from pathlib import Path

import numpy as np

from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.pixels import Pixels


def read(path: Path, *, deinterlace: bool = False) -> tuple[VideoReader, list[SourceFrame]]:
    """Read a video to its end; the reader is closed, and has its notes."""
    with closing(VideoReader(path, deinterlace=deinterlace)) as reader:
        return reader, list(reader)


def frames_of(path: Path, *, is_deep: bool = False) -> Pixels:
    """`(count, H, W, 3)` RGB, uint8 or, if `is_deep`, uint16."""
    with closing(VideoReader(path)) as reader:
        reader.is_deep = is_deep
        return np.stack([frame.rgb for frame in reader])


def times_of(path: Path) -> list[Fraction]:
    """When each frame is shown, seconds."""
    with closing(VideoReader(path)) as reader:
        return [frame.pts * reader.info.time_base for frame in reader]
