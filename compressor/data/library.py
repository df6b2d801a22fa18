"""All clips of some data folders, decoded and cut into shots."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from vsrc.compressor.data.cache import CachedClip, FrameCache, default_cache
from vsrc.runtime.clips import ClipSource, Layout, Subset, find_clips
from vsrc.runtime.degradation import WHOLE_FRAME
from vsrc.runtime.errors import DataError, MediaError
from vsrc.runtime.planes import Planes

DataDegradation = Literal["bi", "bd", "real", "given"]
"""How LR is made from HR; `given` takes the LR twins as they are."""


@dataclass(frozen=True)
class IngestProgress:
    """One source more was opened: `done` of `total`, and its name."""

    name: str
    done: int
    total: int


@dataclass(frozen=True)
class LibraryClip:
    """A clip of the library.

    Attributes:
        name: For people: folder searched, and place below it.
        hr: Decoded HR frames.
        lr_path: `(T, 3, H/s, W/s)` uint8; None where LR is made anew for each crop.
        subset: What its layout's lists say it is for.
    """

    name: str
    hr: CachedClip
    lr_path: Path | None
    subset: Subset

    def hr_frames(self, scale: int) -> Planes:
        """HR cropped to a multiple of the scale, mapped: `(T, 3, H, W)` uint8."""
        frames = self.hr.frames()
        height, width = (size // scale * scale for size in frames.shape[2:])
        return frames[..., :height, :width]

    def lr_frames(self, scale: int) -> Planes | None:
        """LR of the same frames, mapped; None where it is made anew for each crop."""
        if self.lr_path is None:
            return None
        count, _, height, width = self.hr.shape
        shape = (count, 3, height // scale, width // scale)
        return np.memmap(self.lr_path, dtype=np.uint8, mode="r", shape=shape)


@dataclass(frozen=True)
class Shot:
    """Frames `[start, stop)` of clip number `clip`, with no cut inside."""

    clip: int
    start: int
    stop: int


@dataclass(frozen=True)
class Skipped:
    """A source that could not be used, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class ClipLibrary:
    """Clips ready to be cropped.

    Attributes:
        clips: All clips.
        shots: What may be taken from them; `split` gives libraries with a part of the shots.
        scale: HR/LR side ratio.
        degradation: How LR is made.
        layouts: One line for each folder: what was recognised.
        skipped: Sources that could not be used.
    """

    clips: tuple[LibraryClip, ...]
    shots: tuple[Shot, ...]
    scale: int
    degradation: DataDegradation
    layouts: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @cached_property
    def frames(self) -> int:
        """Frames in all shots."""
        return sum(shot.stop - shot.start for shot in self.shots)

    @cached_property
    def sha256(self) -> str:
        """Hash over the sorted list of (file hash, first frame, end) of all shots."""
        lines = sorted(
            f"{self.clips[shot.clip].hr.entry.sha256} {shot.start} {shot.stop}"
            for shot in self.shots
        )
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def with_shots(self, shots: Sequence[Shot]) -> ClipLibrary:
        """The same clips, other shots."""
        return replace(self, shots=tuple(shots))


def open_library(
    folders: Sequence[Path],
    *,
    scale: int,
    degradation: DataDegradation,
    cache: Path | None = None,
    max_height: int | None = None,
    progress: Callable[[IngestProgress], None] | None = None,
) -> ClipLibrary:
    """Find the clips of `folders` and decode those that are not in the cache yet.

    Args:
        folders: Data folders or single videos, any layout of `vsrc.runtime.clips`.
        scale: HR/LR side ratio.
        degradation: How LR is made from HR.
        cache: Where decoded frames are kept; None for `default_cache()`.
        max_height: Taller HR frames are made smaller first: soft 720p and 1080p sources have no
            detail at the pixel level and teach more at half size.
        progress: Called after each source.

    Raises:
        DataError: A folder holds no clips, none of them can be decoded, or the cache is full.
    """
    layouts = [find_clips(folder) for folder in folders]
    sources = [(layout.root, clip) for layout in layouts for clip in layout.clips]
    store = FrameCache(cache or default_cache())
    clips: list[LibraryClip] = []
    shots: list[Shot] = []
    skipped: list[Skipped] = []
    for done, (root, source) in enumerate(sources, start=1):
        name = f"{root.name}/{source.name}" if source.name != root.name else root.name
        try:
            clip = _ingest(
                store, source, name, scale=scale, degradation=degradation, max_height=max_height
            )
            shots += _shots(store, source, clip.hr, index=len(clips))
            clips.append(clip)
        except MediaError as error:
            skipped.append(Skipped(name, str(error)))
        if progress:
            progress(IngestProgress(name, done, len(sources)))
    if not clips:
        raise DataError(
            f"none of the {len(sources)} clips in {', '.join(map(str, folders))} can be used; "
            f"the first: {skipped[0].reason}"
        )
    return ClipLibrary(
        clips=tuple(clips),
        shots=tuple(shots),
        scale=scale,
        degradation=degradation,
        layouts=tuple(_described(layout, degradation) for layout in layouts),
        skipped=tuple(skipped),
    )


def _described(layout: Layout, degradation: DataDegradation) -> str:
    twins = sorted({name for clip in layout.clips for name in clip.twins})
    line = f"{layout.root}: {layout.kind}, {len(layout.clips)} clips"
    if twins and degradation != "given" and degradation not in twins:
        line += f"; its LR twins ({', '.join(twins)}) are left aside for degradation {degradation}"
    return line


def _ingest(
    store: FrameCache,
    source: ClipSource,
    name: str,
    *,
    scale: int,
    degradation: DataDegradation,
    max_height: int | None,
) -> LibraryClip:
    hr = store.clip(source, max_height=max_height)
    size = f"{hr.entry.width}x{hr.entry.height}"
    if min(hr.entry.height, hr.entry.width) < scale:
        raise MediaError(f"{source.place} is {size}, too small for {scale=}")
    lr_path: Path | None = None
    is_shrunk = max_height is not None and hr.entry.height == max_height
    if degradation == "given" or (degradation in source.twins and not is_shrunk):
        lr_path = _twin(store, source, hr, scale=scale, made=degradation)
    elif degrade := WHOLE_FRAME.get(degradation):
        lr_path = store.lr(hr, name=degradation, scale=scale, degrade=degrade)
    return LibraryClip(name, hr, lr_path, source.subset)


def _twin(
    store: FrameCache, source: ClipSource, hr: CachedClip, *, scale: int, made: DataDegradation
) -> Path:
    """Decoded LR twin of a clip, after its size and length were compared.

    Args:
        store: The cache.
        source: The HR clip.
        hr: The same, decoded.
        scale: HR/LR side ratio.
        made: Which twin; for `given` any will do, a nameless one first.

    Raises:
        MediaError: There is none, or it does not belong to the clip.
    """
    twins = {name: twin for name, twin in source.twins.items() if made in ("given", name)}
    if not twins:
        raise MediaError(f"{source.place} has no LR twin, which degradation {made!r} needs")
    lr = store.clip(twins.get("given") or next(iter(twins.values())))
    count, _, height, width = hr.shape
    if lr.shape != (count, 3, height // scale, width // scale):
        raise MediaError(
            f"{lr.entry.source} ({lr.entry.frames} frames, {lr.entry.width}x{lr.entry.height}) is "
            f"no LR of {source.place} ({count} frames, {width}x{height}) at {scale=}; give both "
            "the same frames and leave max_height out"
        )
    return lr.folder / "hr.u8"


def _shots(store: FrameCache, source: ClipSource, hr: CachedClip, *, index: int) -> list[Shot]:
    starts = [0] if source.one_shot else store.shots(hr)
    stops = [*starts[1:], hr.entry.frames]
    return [Shot(index, start, stop) for start, stop in zip(starts, stops, strict=True)]
