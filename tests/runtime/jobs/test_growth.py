"""What a run holds does not grow with the frames that it has written."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np

from vsrc.runtime.decode.frame import ResultFrame, SourceFrame
from vsrc.runtime.encode.segment_encoder import SegmentedEncoder
from vsrc.runtime.jobs.pipeline import run
from vsrc.runtime.picture.colour import Colour, FromRgb
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.spec import GraphSpec, NetworkSpec
from vsrc.runtime.windows.guard import Guard
from vsrc.runtime.windows.upscale import upscale_frames

SIDE, SEGMENT = 32, 40
BEGIN, END = 4 * SEGMENT, 16 * SEGMENT
"""Frames at which objects are counted: at the same place of a segment."""


class Doubler:
    """Repeats each pixel of the centre."""

    label, graph = "doubler", GraphSpec("none", "", 0, "fp32", "uint8", 18, (1, 99), (1, 99))
    network = NetworkSpec("doubler", {}, 2, 3, halo=1, parameters=0, gmac_per_lr_pixel=0)

    def __call__(self, lr: Pixels, /) -> Pixels:
        return lr[:, 1].repeat(2, 1).repeat(2, 2)

    def close(self) -> None:
        pass


def fresh() -> av.VideoCodecContext:
    context = av.VideoCodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width = context.height = 2 * SIDE
    context.pix_fmt, context.options = "yuv420p", {"preset": "ultrafast"}
    context.framerate, context.thread_count = Fraction(25), 1
    context.open()
    return context


def frames() -> Iterator[SourceFrame]:
    draw = np.random.default_rng(0)
    for at in range(END + 4):
        rgb = draw.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        yield SourceFrame(rgb, at, 1, starts_shot=at % (2 * SEGMENT) == 0)


def test_nothing_is_kept_of_frames_that_were_written() -> None:
    encoder = SegmentedEncoder(fresh, None, most=SEGMENT)
    to_yuv = FromRgb(Colour(1, 1, 1, 1), width=2 * SIDE, height=2 * SIDE, pix_fmt="yuv420p")
    session, guard = Doubler(), Guard(Doubler)
    counts: dict[int, Counter[str]] = {}
    written = 0

    def write(result: ResultFrame) -> None:
        nonlocal written
        assert result.rgb is not None
        picture = to_yuv(result.rgb)
        picture.pts = result.pts
        encoder.encode(picture, result)
        written += 1
        if written in (BEGIN, END):
            gc.collect()
            counts[written] = Counter(type(each).__name__ for each in gc.get_objects())

    run(frames(), lambda each: upscale_frames(each, session, guard=guard), write)
    grown = counts[END] - counts[BEGIN]
    # Frames in the two queues, in a window and in the encoder differ by a few from time to time.
    assert max(grown.values(), default=0) < SEGMENT, grown.most_common(5)
