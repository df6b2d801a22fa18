from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from vsrc.runtime.encode.page_video import PageVideo
from vsrc.runtime.picture.likeness import luma

Frames = NDArray[np.uint8]
Make = Callable[..., Any]


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (1, 1)])
def test_a_page_video_holds_every_frame(size: tuple[int, int], moving: Make) -> None:
    frames = moving(7, *size)
    video = PageVideo(width=size[1], height=size[0], fps=Fraction(30000, 1001))
    for rgb in frames:
        video.write(rgb)
    with av.open(io.BytesIO(video.finish()), "r") as container:
        stream = container.streams.video[0]
        decoded: list[Frames] = [
            frame.to_ndarray(format="rgb24").astype(np.uint8) for frame in container.decode(stream)
        ]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == Fraction(30000, 1001)
    assert len(decoded) == 7
    for before, after in zip(frames, decoded, strict=True):
        inner = after[: size[0], : size[1]]
        # Chroma is halved, so compare luma; CRF 12 is good for more than 38 dB of it.
        error = float(np.square(luma(before) - luma(inner)).mean())
        assert error < 255**2 / 10**3.8
