"""Draw windows across scenes, motion and brightness.

One window is drawn from every shot before a second is drawn from any. Within a shot, the window
whose kind was drawn least so far is chosen; there are nine kinds:

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

DIM_LUMA = 96.0
"""Clips whose lightest parts stay below this luma, 0..255, are warned of."""
FLAT_LUMA = 8.0
"""Clips in no frame of which luma has this standard deviation are warned of."""


@dataclass(frozen=True)
class Draw:
    """The windows to feed.

    Attributes:
        frames: For each clip the index of the centre frame of each window (of the first frame, for
            a network that doubles the frame rate), ascending.
        notes: Warnings for the user.
    """

    frames: tuple[tuple[int, ...], ...]
    notes: tuple[str, ...]

    @property
    def count(self) -> int:
        """Number of windows."""
        return sum(map(len, self.frames))


def draw_windows(clips: Sequence[Scenes], network: NetworkSpec, *, count: int, seed: int) -> Draw:
    """Draw windows; deterministic for given clips and seed.

    Args:
        clips: Shots, motion and brightness of each clip.
        network: Network that will be fed.
        count: Number of windows to draw.
        seed: Seed of the draw.

    Raises:
        DataError: No shot is as long as a window, or all that are long enough are black.
    """
    notes = [
        f"{clip.source.name}: skipped, because no shot has the {network.window} frames of a window"
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
    notes += _narrow_notes(clips, shots)
    frames: list[list[int]] = [[] for _ in clips]
    for index, frame in _iter_drawn(shots, _kinds(clips), count, np.random.default_rng(seed)):
        frames[index].append(frame)
    return Draw(tuple(tuple(sorted(of_clip)) for of_clip in frames), tuple(notes))


def _narrow_notes(
    clips: Sequence[Scenes], shots: Sequence[tuple[int, NDArray[np.int64]]]
) -> list[str]:
    """Warn of clips whose ranges would be narrower than those of other video, and say why."""
    used = sorted({index for index, _ in shots})
    causes = (
        ("lightest", DIM_LUMA, "dim, nothing in it is brighter than luma {:.0f} of 255", "bright"),
        (
            *("contrast", FLAT_LUMA, "flat, luma varies by {:.1f} of 255 within a frame"),
            "detailed",
        ),
    )
    notes = []
    for of, least, words, other in causes:
        most = {index: float(getattr(clips[index], of).max()) for index in used}
        low = [index for index in used if most[index] < least]
        notes += [f"{clips[index].source.name}: {words.format(most[index])}" for index in low]
        if low and len(low) == len(used):
            notes.append(
                f"all calibration clips are {words.split(',')[0]}: int8 would clip {other} video; "
                f"add {other} clips, unless all input will look like these"
            )
    return notes


def _places(clip: Scenes, network: NetworkSpec) -> Iterator[range]:
    """Yield, for each shot, the frames at which a window fits within the shot."""
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
    """Yield clip and frame of each window, in turns over the shots until `count` are drawn."""
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
