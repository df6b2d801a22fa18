"""Decode the drawn windows with the runtime's own readers and windowing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vsrc.calibration.draw import Draw
from vsrc.calibration.scenes import Scenes, frames_of, open_source
from vsrc.runtime.decode.reader import Reader
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.spec import GraphSpec, NetworkSpec
from vsrc.runtime.windows.doubling import iter_doubled_windows
from vsrc.runtime.windows.graph_io import pad_to_fit
from vsrc.runtime.windows.sliding import iter_windows

EARLIER = 8
"""Number of frames before the one that is observed, which give a state as in a video."""


@dataclass(frozen=True, eq=False)
class FedWindow:
    """One window in the input format of the graph.

    Attributes:
        clip: Name of the clip.
        lr: LR frames, `(1, T, H, W, 3)` uint8, RGB; for a network with a state, with the windows
            before it in its shot, at most `EARLIER` of them: `(L, T, H, W, 3)`.
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

    Windows larger than a tile are cropped to it at a random position; smaller ones are padded as
    a session pads them.
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
            for pts, windows in _windows(reader, network):
                if (frame := wanted.pop(pts, None)) is None:
                    continue
                rng = np.random.default_rng([seed, index, frame])
                part = _part(windows, largest, rng)
                yield FedWindow(clip.source.name, pad_to_fit(part, multiple=multiple, least=least))
                if not wanted:
                    break


def _windows(reader: Reader, network: NetworkSpec) -> Iterator[tuple[int, Sequence[Pixels]]]:
    """Yield the PTS that identifies a window (of its centre or first frame), and what is fed."""
    frames = frames_of(reader)
    if network.state:
        shot: deque[Pixels] = deque(maxlen=EARLIER + 1)
        for window in iter_windows(frames, radius=network.radius, lookahead=network.lookahead):
            (slot,) = window.slots
            if slot.starts_shot:
                shot.clear()
            shot.append(window.lr.copy())  # the view is overwritten
            yield slot.pts, shot
    elif network.time_scale == 2:
        for window in iter_doubled_windows(frames, size=network.window):
            yield window.slots[0].pts // 2, [window.lr]
    else:
        for window in iter_windows(frames, radius=network.radius):
            yield window.slots[0].pts, [window.lr]


def _part(
    windows: Sequence[Pixels], largest: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Copy a random crop of windows `(T, H, W, 3)`, at most as large as a tile."""
    top, left = (
        int(rng.integers(max(side - limit, 0) + 1))
        for side, limit in zip(windows[-1].shape[1:3], largest, strict=True)
    )
    rows, columns = slice(top, top + largest[0]), slice(left, left + largest[1])
    return np.stack([np.asarray(lr[:, rows, columns], np.uint8) for lr in windows])
