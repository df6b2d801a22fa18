"""Draw windows across scenes, motion and brightness.

Every shot gives one window before any gives a second. Of a shot, the window is taken whose kind was
drawn least so far; there are nine kinds:

                  dark     middle    bright        bounds are the terciles of all frames
    still          .         .         .
    middle         .         .         .
    fast           .         .         .
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vsrc.calibration.scenes import Scenes
from vsrc.runtime.errors import DataError
from vsrc.runtime.spec import NetworkSpec


@dataclass(frozen=True)
class Draw:
    """The windows that are fed.

    Attributes:
        frames: For each clip the frames that windows are centred on (of a network that doubles the
            frame rate: begin with), ascending.
        notes: What the user should know.
    """

    frames: tuple[tuple[int, ...], ...]
    notes: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many windows there are."""
        return sum(map(len, self.frames))


def draw_windows(clips: Sequence[Scenes], network: NetworkSpec, *, count: int, seed: int) -> Draw:
    """Draw windows; the same clips and seed give the same ones.

    Args:
        clips: What was found in each clip.
        network: What will be fed.
        count: How many are wanted.
        seed: Of the draw.

    Raises:
        DataError: No shot is as long as a window, or all that is long enough is black.
    """
    notes = [
        f"{clip.source.name}: no shot of it has the {network.window} frames of a window; left out"
        for clip in clips
        if not any(_places(clip, network))
    ]
    shots = [
        (index, np.array(places))
        for index, clip in enumerate(clips)
        for places in _places(clip, network)
    ]
    if not shots:
        longest = max((len(shot) for clip in clips for shot in clip.shots), default=0)
        raise DataError(
            f"no calibration clip has a shot as long as the window of {network.name}, which is "
            f"{network.window} frames (the longest has {longest}); name longer clips"
        )
    bright = max(float(clips[index].brightness[places].max()) for index, places in shots)
    if bright < 1:
        raise DataError(
            f"every frame of the calibration clips is black (mean luma {bright:.2f} of 255 at "
            "most), so all ranges would be zero; name clips that show something"
        )
    frames: list[list[int]] = [[] for _ in clips]
    for index, frame in _iter_drawn(shots, _kinds(clips), count, np.random.default_rng(seed)):
        frames[index].append(frame)
    return Draw(tuple(tuple(sorted(of_clip)) for of_clip in frames), tuple(notes))


def _places(clip: Scenes, network: NetworkSpec) -> Iterator[range]:
    """Frames of each shot at which a window full of its frames can be taken."""
    for shot in clip.shots:
        if len(shot) >= network.window:
            if network.time_scale == 2:  # windows follow one another and share a frame
                yield shot[: -(network.window - 1) or None : max(network.window - 1, 1)]
            else:
                yield shot


def _kinds(clips: Sequence[Scenes]) -> list[NDArray[np.int64]]:
    """Kind of each frame of each clip, 0..8."""
    kinds = [np.zeros(len(clip.pts), dtype=np.int64) for clip in clips]
    for weight, of in ((3, "motion"), (1, "brightness")):
        values = [getattr(clip, of) for clip in clips]
        bounds = np.quantile(np.concatenate(values), [1 / 3, 2 / 3])
        for kind, value in zip(kinds, values, strict=True):
            kind += weight * np.searchsorted(bounds, value)
    return kinds


def _iter_drawn(
    shots: Sequence[tuple[int, NDArray[np.int64]]],
    kinds: Sequence[NDArray[np.int64]],
    count: int,
    rng: np.random.Generator,
) -> Iterator[tuple[int, int]]:
    """Clip and frame of each window, shot by shot in turns until enough are drawn."""
    left = [(index, rng.permutation(places)) for index, places in shots]
    left = [left[at] for at in rng.permutation(len(left))]
    drawn = np.zeros(9, dtype=np.int64)
    taken = 0
    while left and taken < count:
        remaining = []
        for index, places in left[: count - taken]:
            best = int(np.argmin(drawn[kinds[index][places]]))
            frame = int(places[best])
            drawn[kinds[index][frame]] += 1
            yield index, frame
            if len(places) > 1:
                remaining.append((index, np.delete(places, best)))
        taken += len(left[: count - taken])
        left = remaining
