"""What a data folder holds and what is wrong with it, before anything is taught from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from vsrc.runtime.decode.clip_frames import ClipFrames
from vsrc.runtime.decode.clip_layouts import ClipSource, find_clips
from vsrc.runtime.decode.cuts import CutDetector
from vsrc.runtime.errors import MediaError
from vsrc.runtime.picture.fast_resize import Planes
from vsrc.runtime.pixels import Pixels8
from vsrc.runtime.quality.degradation import guess_degradation

_PAIRS = 2
"""Frames of a pair that are compared; the degradation is the same for all."""


@dataclass(frozen=True)
class TwinReport:
    """What is known of an LR twin.

    Attributes:
        named: How its layout says it was made.
        guess: How it was made by the look of it, or why that cannot be said.
    """

    named: str
    guess: str


@dataclass(frozen=True)
class ClipReport:
    """What is known of a clip.

    Attributes:
        name: Place below the folder.
        frames: Number of frames that can be decoded.
        width: Pixels.
        height: Pixels.
        cuts: First frames of its shots, without the first shot.
        subset: What the layout's lists say it is for.
        notes: Damage that could be lived with.
        error: Why it cannot be used; empty where it can.
        twins: Its LR twins.
    """

    name: str
    frames: int = 0
    width: int = 0
    height: int = 0
    cuts: tuple[int, ...] = ()
    subset: str = "any"
    notes: tuple[str, ...] = ()
    error: str = ""
    twins: tuple[TwinReport, ...] = ()

    def __str__(self) -> str:
        if self.error:
            return f"{self.name}: BROKEN: {self.error}"
        shots = "1 shot" if not self.cuts else f"{len(self.cuts) + 1} shots"
        line = f"{self.name}: {self.width}x{self.height}, {self.frames} frames, {shots}"
        if self.subset != "any":
            line += f", for {self.subset}"
        pairs = [f"LR twin ({twin.named}) looks like {twin.guess}" for twin in self.twins]
        return "; ".join([line, *pairs, *self.notes])


@dataclass(frozen=True)
class DataReport:
    """What is known of a folder.

    Attributes:
        folder: As it was named.
        layout: Name of the layout.
        clips: Usable clips.
        broken: Clips that cannot be used.
        damaged: Usable clips with notes.
        frames: Frames of all usable clips.
        shots: Shots of all usable clips.
        details: One report for each clip, in order of their names.
    """

    folder: str
    layout: str
    clips: int
    broken: int
    damaged: int
    frames: int
    shots: int
    details: tuple[ClipReport, ...]

    def __str__(self) -> str:
        return (
            f"{self.folder}: {self.layout}, {self.clips} clips, {self.frames} frames, "
            f"{self.shots} shots; {self.broken} broken, {self.damaged} damaged"
        )


def check_folder(
    folder: Path, *, progress: Callable[[ClipReport], None] | None = None
) -> DataReport:
    """Decode everything in a folder once, keeping nothing.

    Args:
        folder: A data folder of any layout.
        progress: Called after each clip.

    Raises:
        DataError: The folder holds no clips.
    """
    layout = find_clips(folder)
    details = []
    for source in layout.clips:
        details.append(_clip(source))
        if progress:
            progress(details[-1])
    good = [report for report in details if not report.error]
    return DataReport(
        folder=str(folder),
        layout=layout.kind,
        clips=len(good),
        broken=len(details) - len(good),
        damaged=sum(bool(report.notes) for report in good),
        frames=sum(report.frames for report in good),
        shots=sum(len(report.cuts) + 1 for report in good),
        details=tuple(details),
    )


def _clip(source: ClipSource) -> ClipReport:
    frames = ClipFrames(source)
    detector, cuts = CutDetector(), list[int]()
    count, shape = 0, (0, 0, 0)
    try:
        for count, frame in enumerate(frames, start=1):
            shape = frame.shape
            if not source.one_shot and detector.feed(frame[..., 1]):
                cuts.append(count - 1)
    except MediaError as error:
        return ClipReport(source.name, subset=source.subset, error=str(error))
    return ClipReport(
        name=source.name,
        frames=count,
        width=shape[1],
        height=shape[0],
        cuts=tuple(cuts),
        subset=source.subset,
        notes=frames.notes,
        twins=tuple(
            TwinReport(named, _guess(source, twin)) for named, twin in source.twins.items()
        ),
    )


def _guess(high: ClipSource, low: ClipSource) -> str:
    try:
        return str(guess_degradation(_first(high), _first(low)))
    except (MediaError, ValueError) as error:
        return f"nothing that can be compared: {error}"


def _first(source: ClipSource) -> Planes:
    """The first frames of a clip, `(T, 3, H, W)`."""
    frames: Iterator[Pixels8] = iter(ClipFrames(source))
    return np.stack([frame.transpose(2, 0, 1) for frame in islice(frames, _PAIRS)])
