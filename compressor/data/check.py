"""Check the contents of a data folder before training on it."""

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
"""Frames of an HR/LR pair that are compared; all share one degradation."""


@dataclass(frozen=True)
class TwinReport:
    """Findings about the LR version of a clip.

    Attributes:
        named: Degradation according to its layout.
        guess: Degradation estimated from the pixels, or why none could be estimated.
    """

    named: str
    guess: str


@dataclass(frozen=True)
class ClipReport:
    """Findings about a clip.

    Attributes:
        name: Path relative to the folder.
        frames: Number of frames that can be decoded.
        width: Frame width, pixels.
        height: Frame height, pixels.
        cuts: First frame of each shot but the first.
        subset: Subset (training, test, ...) according to the layout's lists.
        notes: Damage that decoding could work around.
        error: Why the clip cannot be used; empty if it can.
        twins: LR versions of the clip.
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
        pairs = [f"LR version ({twin.named}) looks like {twin.guess}" for twin in self.twins]
        return "; ".join([line, *pairs, *self.notes])


@dataclass(frozen=True)
class DataReport:
    """Findings about a data folder.

    Attributes:
        folder: Path as given.
        layout: Name of the layout.
        clips: Number of usable clips.
        broken: Number of clips that cannot be used.
        damaged: Number of usable clips with notes.
        frames: Number of frames of all usable clips.
        shots: Number of shots of all usable clips.
        details: One report per clip, sorted by name.
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
    """Decode everything in a folder once, without storing it.

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
        return f"nothing, it cannot be compared: {error}"


def _first(source: ClipSource) -> Planes:
    """The first frames of a clip, `(T, 3, H, W)`."""
    frames: Iterator[Pixels8] = iter(ClipFrames(source))
    return np.stack([frame.transpose(2, 0, 1) for frame in islice(frames, _PAIRS)])
