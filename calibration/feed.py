"""The drawn windows, decoded and cut out by the runtime's own code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vsrc.calibration.draw import Draw
from vsrc.calibration.scenes import Scenes, frames_of, open_source
from vsrc.runtime.decode.video_reader import Reader
from vsrc.runtime.spec import GraphSpec, NetworkSpec
from vsrc.runtime.windows.doubling import iter_doubled_windows
from vsrc.runtime.windows.graph_io import pad_to_fit
from vsrc.runtime.windows.sliding import iter_windows


@dataclass(frozen=True, eq=False)
class FedWindow:
    """One window as the graph takes it.

    Attributes:
        clip: Name of its clip.
        lr: `(1, T, H, W, 3)` uint8.
    """

    clip: str
    lr: NDArray[np.uint8]


def iter_drawn_windows(
    clips: Sequence[Scenes],
    draw: Draw,
    network: NetworkSpec,
    graph: GraphSpec,
    *,
    tile: tuple[int, int],
    seed: int,
) -> Iterator[FedWindow]:
    """Decode the clips again and yield the windows of a draw, clip after clip.

    A frame larger than a tile gives the part of that size at a place of its own; a smaller one is
    padded as a session pads it.
    """
    multiple = network.size_multiple
    rows, columns = min(tile[0], graph.height[1]), min(tile[1], graph.width[1])
    largest = (max(rows // multiple, 1) * multiple, max(columns // multiple, 1) * multiple)
    least = (graph.height[0], graph.width[0])
    for index, (clip, frames) in enumerate(zip(clips, draw.frames, strict=True)):
        if not frames:
            continue
        wanted = {int(clip.pts[frame]): frame for frame in frames}
        with closing(open_source(clip.source)) as reader:
            for pts, lr in _windows(reader, network):
                if (frame := wanted.pop(pts, None)) is None:
                    continue
                rng = np.random.default_rng([seed, index, frame])
                part = _part(lr, largest, rng)[None]
                yield FedWindow(clip.source.name, pad_to_fit(part, multiple=multiple, least=least))
                if not wanted:
                    break


def _windows(reader: Reader, network: NetworkSpec) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """PTS of the frame that a window is known by, and the window."""
    frames = frames_of(reader)
    if network.time_scale == 2:
        for window in iter_doubled_windows(frames, size=network.window):
            yield window.slots[0].pts // 2, window.lr
    else:
        for window in iter_windows(frames, radius=network.radius):
            yield window.slots[0].pts, window.lr


def _part(
    lr: NDArray[np.uint8], largest: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """A copy of a part of `(T, H, W, 3)` that is no larger than a tile."""
    top, left = (
        int(rng.integers(max(side - limit, 0) + 1))
        for side, limit in zip(lr.shape[1:3], largest, strict=True)
    )
    return lr[:, top : top + largest[0], left : left + largest[1]].copy()
