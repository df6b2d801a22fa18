"""What the way from YUV to RGB and back costs, in time and in samples.

    python benchmarks/colour.py [VIDEO...]

Prints CPU time for a frame of 1920x1080 (noise, 4:2:0, the best of five), at 8 and at 10 bits, and
for ten frames of each video the share of samples that a network which changes nothing would give
back further than 1 off: chroma of 4:2:0 is enlarged and made small again, colours outside RGB are
clipped. Without arguments the sample clip is taken.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.picture.colour import Colour
from vsrc.runtime.picture.deep_colour import frame_maker, rgb_maker
from vsrc.runtime.sample import SAMPLE_CLIP

WIDTH, HEIGHT = 1920, 1080
BT709 = Colour(1, 1, 1, 1)
FRAMES = 10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="*", type=Path)
    videos = parser.parse_args().videos or [SAMPLE_CLIP]
    result = {
        "cpu_ms_1920x1080": {pix_fmt: times(pix_fmt) for pix_fmt in ("yuv420p", "yuv420p10le")},
        "further_than_1_off": {video.name: shares(video) for video in videos},
    }
    print(json.dumps(result, indent=2))


def times(pix_fmt: str) -> dict[str, float]:
    """CPU time to RGB and back, ms."""
    frame = av.VideoFrame(WIDTH, HEIGHT, pix_fmt)
    draw = np.random.default_rng(0)
    for values in planes_of(frame):
        low, high = (16, 235) if values.dtype == np.uint8 else (64, 940)
        values[:] = draw.integers(low, high, values.shape)
    there, back = makers(WIDTH, HEIGHT, pix_fmt)
    rgb, to_rgb = timed(lambda: there(frame))
    _, to_yuv = timed(lambda: back(rgb))
    return {"to_rgb": round(to_rgb, 1), "to_yuv": round(to_yuv, 1)}


def makers(width: int, height: int, pix_fmt: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Both ways, as a video takes them."""
    is_deep = pix_fmt.endswith("le")
    there = rgb_maker(BT709, width=width, height=height, is_deep=is_deep, is_left=True)
    back = frame_maker(BT709, width=width, height=height, pix_fmt=pix_fmt, is_left=True)
    return there, back


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What `work` returns, and the least CPU time of five runs, ms."""
    least = float("inf")
    for _ in range(5):
        began = time.process_time()
        found = work()
        least = min(least, time.process_time() - began)
    return found, least * 1000


def shares(video: Path) -> dict[str, float]:
    """Share of the samples of Y, U and V that come back further than 1 off, per cent."""
    off: dict[str, list[float]] = {"Y": [], "U": [], "V": []}
    with av.open(str(video)) as container:
        for decoded in islice(container.decode(video=0), FRAMES):
            frame = decoded.reformat(format="yuv420p")
            there, back = makers(frame.width, frame.height, "yuv420p")
            before = [plane.astype(int) for plane in planes_of(frame)]
            after = planes_of(back(there(frame)))
            for name, one, other in zip(off, before, after, strict=True):
                off[name].append(float((np.abs(one - other) > 1).mean()))
    return {name: round(100 * float(np.mean(found)), 2) for name, found in off.items()}


def planes_of(frame: av.VideoFrame) -> list[NDArray[Any]]:
    """Views of the samples, `(h, w)` each."""
    kind = np.dtype("<u2" if frame.format.name.endswith("le") else "u1")
    return [
        np.ndarray(
            (plane.height, plane.width),
            kind,
            buffer=memoryview(plane),
            strides=(plane.line_size, kind.itemsize),
        )
        for plane in frame.planes
    ]


if __name__ == "__main__":
    main()
