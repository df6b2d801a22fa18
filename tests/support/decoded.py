"""What a video file holds, read as `infer` reads it."""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction
from pathlib import Path

import numpy as np

from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.pixels import Pixels


def frames_of(path: Path, *, is_deep: bool = False) -> Pixels:
    """`(count, H, W, 3)` RGB, uint8 or, if `is_deep`, uint16."""
    with closing(VideoReader(path)) as reader:
        reader.is_deep = is_deep
        return np.stack([frame.rgb for frame in reader])


def times_of(path: Path) -> list[Fraction]:
    """When each frame is shown, seconds."""
    with closing(VideoReader(path)) as reader:
        return [frame.pts * reader.info.time_base for frame in reader]
