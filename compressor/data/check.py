"""Check the contents of a data folder before training on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

import numpy as np

from vsrc.compressor.data.ingest import twin_at_scale
from vsrc.compressor.data.library import DataDegradation, IngestProgress
from vsrc.compressor.data.training_clips import find_training_clips
from vsrc.runtime.decode.clip_layouts import SkippedFile, find_skipped
from vsrc.runtime.decode.clip_source import ClipSource, Layout
from vsrc.runtime.decode.clips.clip_frames import ClipFrames
from vsrc.runtime.decode.cuts import CutDetector
from vsrc.runtime.errors import MediaError
from vsrc.runtime.numbering import describe_gaps
from vsrc.runtime.picture.fast_resize import Planes
from vsrc.runtime.pixels import Pixels8
from vsrc.runtime.quality.degradation import guess_degradation
from vsrc.runtime.sample import typed_input
from vsrc.runtime.text.count_text import count_text
from vsrc.runtime.text.size_text import format_size

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
        refusal: Why training with the settings that were given leaves it out; empty if it does not.
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
    refusal: str = ""
    twins: tuple[TwinReport, ...] = ()

    def __str__(self) -> str:
        if self.error:
            return f"{self.name}: BROKEN: {self.error}"
        shots, frames = count_text(len(self.cuts) + 1, "shot"), count_text(self.frames, "frame")
        line = f"{self.name}: {format_size(self.width, self.height)}, {frames}, {shots}"
        if self.subset != "any":
            line += f", for {self.subset}"
        pairs = [f"LR version ({twin.named}) looks like {twin.guess}" for twin in self.twins]
        refusal = [f"NOT USED: {self.refusal}"] if self.refusal else []
        return "; ".join([line, *pairs, *self.notes, *refusal])


@dataclass(frozen=True)
class DataReport:
    """Findings about a data folder.

    Attributes:
        folder: Path as given.
        layout: Name of the layout.
        clips: Number of usable clips.
        broken: Number of clips that cannot be used.
        damaged: Number of usable clips with notes.
        refused: Number of usable clips that training with the given settings leaves out.
        frames: Number of frames of all usable clips.
        shots: Number of shots of all usable clips.
        details: One report per clip, sorted by name.
        skipped: What is in the folder and is neither a video nor an image.
    """

    folder: str
    layout: str
    clips: int
    broken: int
    damaged: int
    refused: int
    frames: int
    shots: int
    details: tuple[ClipReport, ...]
    skipped: tuple[SkippedFile, ...] = ()

    def __str__(self) -> str:
        return (
            f"{typed_input(self.folder)}: {self.layout}, {count_text(self.clips, 'clip')}, "
            f"{count_text(self.frames, 'frame')}, {count_text(self.shots, 'shot')}; "
            f"{self.broken} broken, {self.damaged} damaged, "
            f"{self.refused} not used"
        )


@dataclass(frozen=True)
class TrainingNeeds:
    """What a training needs of its clips; see `DistillConfig`.

    Attributes:
        scale: SR/LR side ratio.
        patch: Side of the HR crop, pixels.
        clip_length: Frames of a clip, without a cut.
        degradation: How LR is made from HR.
    """

    scale: int
    patch: int
    clip_length: int
    degradation: DataDegradation


def check_folder(
    folder: Path,
    *,
    needs: TrainingNeeds | None = None,
    progress: Callable[[IngestProgress], None] | None = None,
) -> DataReport:
    """Decode everything in a folder once, without storing it.

    Args:
        folder: A data folder of any layout.
        needs: What the training needs for which the clips are checked, too; None for no training.
        progress: Called before each clip.

    Raises:
        DataError: The folder holds no clips.
    """
    layout = find_training_clips(folder, scale=None if needs is None else needs.scale)
    details = []
    for done, source in enumerate(layout.clips):
        if progress:
            progress(IngestProgress(source.name, done, len(layout.clips)))
        details.append(_clip(source, needs))
    good = [report for report in details if not report.error]
    return DataReport(
        folder=str(folder),
        layout=layout.kind,
        clips=len(good),
        broken=len(details) - len(good),
        damaged=sum(bool(report.notes) for report in good),
        refused=sum(bool(report.refusal) for report in good),
        frames=sum(report.frames for report in good),
        shots=sum(len(report.cuts) + 1 for report in good),
        details=tuple(details),
        skipped=() if _has_other_files(layout) else tuple(find_skipped(folder)),
    )


def _has_other_files(layout: Layout) -> bool:
    """Whether files that are neither videos nor images belong to a layout: lists, databases."""
    return layout.kind.startswith(("LMDB", "Vimeo"))


def _clip(source: ClipSource, needs: TrainingNeeds | None) -> ClipReport:
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
    gaps = "" if source.is_video else describe_gaps(source.files)
    starts = [0, *cuts, count]
    longest = max(after - before for before, after in pairwise(starts))
    size = (count, *shape[:2])
    return ClipReport(
        name=source.name,
        frames=count,
        width=shape[1],
        height=shape[0],
        cuts=tuple(cuts),
        subset=source.subset,
        notes=(*frames.notes, *([gaps] if gaps else [])),
        refusal="" if needs is None else _refusal(source, needs, size, longest=longest),
        twins=tuple(
            TwinReport(named, _guess(source, twin)) for named, twin in source.twins.items()
        ),
    )


def _refusal(
    source: ClipSource, needs: TrainingNeeds, shape: tuple[int, int, int], *, longest: int
) -> str:
    """Why training leaves a clip out.

    Args:
        source: The clip.
        needs: What the training needs.
        shape: Frames, height and width of the clip.
        longest: Frames of its longest shot.
    """
    side, patch = min(shape[1:]), needs.patch // needs.scale * needs.scale
    if longest < needs.clip_length:
        frames = count_text(longest, "frame")
        return f"its longest shot has {frames}, fewer than clip_length={needs.clip_length}"
    if side < max(patch, needs.scale):
        return f"its smaller side has {side} pixels, fewer than patch={patch}"
    return _twin_refusal(source, needs, shape)


def _twin_refusal(source: ClipSource, needs: TrainingNeeds, shape: tuple[int, int, int]) -> str:
    if needs.degradation == "given":
        twin = source.twin_for("given")
        if twin is None:
            return "it has no LR version, which degradation=given needs"
    else:
        twin = twin_at_scale(source, degradation=needs.degradation, scale=needs.scale)
    if twin is None:
        return ""
    try:
        low = _measure(twin)
    except MediaError as error:
        return f"its LR version cannot be decoded: {error}"
    expected = (shape[0], shape[1] // needs.scale, shape[2] // needs.scale)
    if low == expected:
        return ""
    texts = [f"{count} frames of {width}x{height}" for count, height, width in (low, expected)]
    return f"its LR version has {texts[0]}; expected {texts[1]} at scale={needs.scale}"


def _measure(source: ClipSource) -> tuple[int, int, int]:
    """Frames, height and width of a clip, decoded."""
    count, height, width = 0, 0, 0
    for frame in ClipFrames(source):
        count, height, width = count + 1, frame.shape[0], frame.shape[1]
    return count, height, width


def _guess(high: ClipSource, low: ClipSource) -> str:
    try:
        return str(guess_degradation(_first(high), _first(low)))
    except (MediaError, ValueError) as error:
        return f"nothing known: it cannot be compared ({error})"


def _first(source: ClipSource) -> Planes:
    """The first frames of a clip, `(T, 3, H, W)`."""
    frames: Iterator[Pixels8] = iter(ClipFrames(source))
    return np.stack([frame.transpose(2, 0, 1) for frame in islice(frames, _PAIRS)])
