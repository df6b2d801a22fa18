"""The sample clip included in vsrc, for the demo and for checks of exported graphs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLE_NAME = "sample"
"""What the clip is called as an input of a command."""
SAMPLE_CLIP = Path(__file__).resolve().parent / "assets" / "big_buck_bunny.mp4"
"""Excerpt of "Big Buck Bunny" (CC BY 3.0, Blender Foundation): 640x360, 121 frames, with audio."""
SAMPLE_CREDIT = (
    "Pictures from Big Buck Bunny, (c) 2008 Blender Foundation, www.bigbuckbunny.org, "
    "Creative Commons Attribution 3.0"
)
"""Attribution to show with its frames."""


def typed_input(path: str | Path) -> str:
    """Name an input as it was typed: `sample` for the sample clip, else its path."""
    return SAMPLE_NAME if Path(path) == SAMPLE_CLIP else str(path)


def sample_frames(count: int) -> NDArray[np.uint8]:
    """Return the first frames of the clip, `(count, 360, 640, 3)` uint8 RGB."""
    import av
    import numpy as np

    frames: list[NDArray[np.uint8]] = []
    with av.open(str(SAMPLE_CLIP)) as container:
        for frame in container.decode(video=0):
            if len(frames) == count:
                break
            frames.append(frame.to_ndarray(format="rgb24", threads=1).astype(np.uint8, copy=False))
    return np.stack(frames)
