"""Build a library from data folders: find clips, decode new ones, make LR, detect cuts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vsrc.compressor.data.cache import CachedClip, FrameCache
from vsrc.compressor.data.library import (
    ClipLibrary,
    DataDegradation,
    IngestProgress,
    LibraryClip,
    Shot,
    Skipped,
)
from vsrc.compressor.data.training_clips import find_training_clips
from vsrc.runtime.decode.clip_source import ClipSource, Layout
from vsrc.runtime.decode.clips.clip_frames import ClipFrames, is_at_scale
from vsrc.runtime.errors import DataError, MediaError
from vsrc.runtime.machine import cache_folder
from vsrc.runtime.quality.degradation import WHOLE_FRAME

logger = logging.getLogger(__name__)


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
        folders: Data folders or single videos, any layout of `vsrc.runtime.decode.clip_layouts`.
        scale: HR/LR side ratio.
        degradation: How LR is made from HR.
        cache: Folder of decoded frames; None for `cache_folder()`.
        max_height: Taller HR frames are downscaled first: soft 720p and 1080p sources have no
            detail at the pixel level and are better training data at half size.
        progress: Called after each source, and regularly while a long one is decoded.

    Raises:
        DataError: A folder holds no clips, none of them can be decoded, or the cache is full.
    """
    layouts = [find_training_clips(folder, scale=scale) for folder in folders]
    sources = [(_name(layout, clip), clip) for layout in layouts for clip in layout.clips]
    plan = _Plan(FrameCache(cache or cache_folder()), scale, degradation, max_height)

    def report(name: str, done: int, frames: int = 0) -> None:
        if progress:
            progress(IngestProgress(name, done, len(sources), frames))

    _say_scales(sources, degradation=degradation, scale=scale)
    clips: list[LibraryClip] = []
    shots: list[Shot] = []
    skipped: list[Skipped] = []
    for done, (name, source) in enumerate(sources):
        try:
            hr = _hr(plan, source, partial(report, name, done))
            clip = LibraryClip(name, hr, _lr(plan, source, hr), source.subset)
            shots += _shots(plan, source, hr, index=len(clips))
            clips.append(clip)
        except MediaError as error:
            skipped.append(Skipped(name, str(error)))
        report(name, done + 1)
    if not clips:
        raise _no_clip(folders, skipped)
    return ClipLibrary(
        clips=tuple(clips),
        shots=tuple(shots),
        scale=scale,
        degradation=degradation,
        layouts=tuple(_layout_line(layout, degradation) for layout in layouts),
        skipped=tuple(skipped),
    )


def find_unreadable(layouts: Sequence[Layout]) -> tuple[Skipped, ...]:
    """List the clips that cannot be opened, which training would skip; their start is decoded.

    Raises:
        DataError: It is all of them.
    """
    sources = [(_name(layout, clip), clip) for layout in layouts for clip in layout.clips]
    skipped = [Skipped(name, reason) for name, clip in sources if (reason := _why_unreadable(clip))]
    if len(skipped) == len(sources):
        raise _no_clip([layout.root for layout in layouts], skipped)
    return tuple(skipped)


def _why_unreadable(clip: ClipSource) -> str:
    """Return why a clip cannot be opened; empty if it can."""
    try:
        ClipFrames(clip).check()
    except MediaError as error:
        return str(error)
    return ""


def _no_clip(folders: Sequence[Path], skipped: Sequence[Skipped]) -> DataError:
    return DataError(
        f"none of the {len(skipped)} clips in {', '.join(map(str, folders))} can be used; "
        f"the first: {skipped[0].reason}"
    )


@dataclass(frozen=True)
class _Plan:
    """How every source is processed; the fields are `open_library`'s arguments."""

    store: FrameCache
    scale: int
    degradation: DataDegradation
    max_height: int | None


def _hr(plan: _Plan, source: ClipSource, progress: Callable[[int], None]) -> CachedClip:
    hr = plan.store.clip(source, max_height=plan.max_height, progress=progress)
    if min(hr.entry.height, hr.entry.width) < plan.scale:
        raise MediaError(
            f"{source.place} is {hr.entry.width}x{hr.entry.height}, too small for "
            f"scale={plan.scale}"
        )
    return hr


def _lr(plan: _Plan, source: ClipSource, hr: CachedClip) -> Path | None:
    """LR frames: the given ones if requested or made by the same degradation, else made here."""
    is_shrunk = plan.max_height is not None and hr.entry.height == plan.max_height
    twin = twin_at_scale(source, degradation=plan.degradation, scale=plan.scale)
    if plan.degradation == "given" or (twin is not None and not is_shrunk):
        return _twin(plan, source, hr)
    if degrade := WHOLE_FRAME.get(plan.degradation):
        return plan.store.lr(hr, name=plan.degradation, scale=plan.scale, degrade=degrade)
    return None


def _twin(plan: _Plan, source: ClipSource, hr: CachedClip) -> Path:
    """Decode the LR version of a clip and check its size and length.

    Raises:
        MediaError: The clip has none, or it does not match the clip.
    """
    wanted, scale = plan.degradation, plan.scale
    twin = source.twin_for(wanted)
    if twin is None:
        raise MediaError(f"{source.place} has no LR version, which degradation {wanted!r} needs")
    lr = plan.store.clip(twin)
    count, _, height, width = hr.shape
    if lr.shape != (count, 3, height // scale, width // scale):
        raise MediaError(
            f"{lr.entry.source} ({lr.entry.frames} frames, {lr.entry.width}x{lr.entry.height}) is "
            f"no LR of {source.place} ({count} frames, {width}x{height}) at {scale=}; give both "
            "the same frames and leave max_height out, or make LR here: --set degradation=bi"
        )
    return lr.folder / "hr.u8"


def twin_at_scale(
    source: ClipSource, *, degradation: DataDegradation, scale: int
) -> ClipSource | None:
    """LR version of a clip made by this degradation at this scale; None if it has none.

    A file that cannot be decoded is taken for one, so that its own error is reported.
    """
    twin = source.twins.get(degradation) if degradation in ("bi", "bd") else None
    return twin if twin is not None and is_at_scale(source, twin, scale) else None


def _say_scales(
    sources: Sequence[tuple[str, ClipSource]], *, degradation: DataDegradation, scale: int
) -> None:
    """Say once that LR versions are of another scale; those of the first clip stand for all."""
    paired = [source for _, source in sources if degradation in source.twins]
    if paired and twin_at_scale(paired[0], degradation=degradation, scale=scale) is None:
        logger.warning(
            "the LR versions of %s are not of scale=%d: LR is made by %s instead",
            *(paired[0].place.parent, scale, degradation),
        )


def _shots(plan: _Plan, source: ClipSource, hr: CachedClip, *, index: int) -> list[Shot]:
    starts = [0] if source.one_shot else plan.store.shots(hr)
    stops = [*starts[1:], hr.entry.frames]
    return [Shot(index, start, stop) for start, stop in zip(starts, stops, strict=True)]


def _name(layout: Layout, clip: ClipSource) -> str:
    is_root = clip.name == layout.root.name
    return clip.name if is_root else f"{layout.root.name}/{clip.name}"


def _layout_line(layout: Layout, degradation: DataDegradation) -> str:
    twins = sorted({name for clip in layout.clips for name in clip.twins})
    line = str(layout)
    if twins and degradation != "given" and degradation not in twins:
        line += f"; its LR versions ({', '.join(twins)}) are not used: degradation is {degradation}"
    return line
