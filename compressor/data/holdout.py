"""Held-out clips: never trained on, only used for validation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import torch

from vsrc.compressor.data.dataset import ClipBatch, ClipItem, collate
from vsrc.compressor.data.library import ClipLibrary, Shot
from vsrc.compressor.data.window import CropWindow, cut


def split_holdout(
    library: ClipLibrary, *, fraction: float = 0.05
) -> tuple[ClipLibrary, ClipLibrary]:
    """Split into a training and a validation library; no frame is in both.

    The lists of a layout decide, if it has any (Vimeo-90K's test list, REDS4). Else whole
    files are held out when there are enough of them, else whole shots, else the end of the only
    shot. The choice depends on the contents of the files, not on names, order or chance.

    Args:
        library: All clips.
        fraction: Maximum share of frames to hold out; if the smallest group exceeds it, that group
            is held out.
    """
    marked = [shot for shot in library.shots if library.clips[shot.clip].subset == "test"]
    if marked and len(marked) < len(library.shots):
        held = set(marked)
    else:
        held = _choose_shots(library, fraction)
    if not held:
        return _split_one_shot(library, fraction)
    rest = [shot for shot in library.shots if shot not in held]
    kept = [shot for shot in library.shots if shot in held]
    return library.with_shots(rest), library.with_shots(kept)


def validation_clips(
    library: ClipLibrary, *, clip_length: int, count: int, crop: int | None = None
) -> list[ClipBatch]:
    """Validation clips, spread evenly over the shots that are long enough.

    Args:
        library: The held-out part.
        clip_length: L, frames.
        count: Maximum number of clips.
        crop: Side of the centre crop, HR pixels, rounded down to the scale; None for whole frames.

    Returns:
        Batches of one clip each, `lr` `(1, L, 3, h, w)`; empty when no shot is long enough.
    """
    long = [shot for shot in library.shots if shot.stop - shot.start >= clip_length]
    if not long:
        return []
    starts = [(shot, first) for shot in long for first in _starts(shot, clip_length)]
    chosen = np.unique(np.linspace(0, len(starts) - 1, min(count, len(starts))).round().astype(int))
    return [_clip(library, *starts[index], clip_length=clip_length, crop=crop) for index in chosen]


def _starts(shot: Shot, clip_length: int) -> range:
    return range(shot.start, shot.stop - clip_length + 1, clip_length)


def _clip(
    library: ClipLibrary, shot: Shot, first: int, *, clip_length: int, crop: int | None
) -> ClipBatch:
    clip, scale = library.clips[shot.clip], library.scale
    sizes = [size // scale for size in clip.hr.shape[2:]]
    height, width = (min(size, crop // scale) if crop else size for size in sizes)
    top, left = (sizes[0] - height) // 2, (sizes[1] - width) // 2
    window = CropWindow(first, first + clip_length, top, left, height, width)
    # Seeded: a held-out clip is degraded the same way at each validation.
    lr, hr = cut(clip, window, scale=scale, rng=np.random.default_rng((shot.start, first)))
    source = f"{clip.name}@{first}"
    return collate([ClipItem(torch.from_numpy(lr.copy()), torch.from_numpy(hr.copy()), source)])


def _choose_shots(library: ClipLibrary, fraction: float) -> set[Shot]:
    """Whole files (four or more), or whole shots (two or more), in the order of their hashes."""
    by_file: dict[str, list[Shot]] = {}
    by_shot: dict[str, list[Shot]] = {}
    for shot in library.shots:
        sha256 = library.clips[shot.clip].hr.entry.sha256
        by_file.setdefault(_rank(sha256), []).append(shot)
        by_shot.setdefault(_rank(f"{sha256} {shot.start}"), []).append(shot)
    if len(by_file) < 4 and len(by_shot) < 2:  # copies of a file count once
        return set()
    groups = by_file if len(by_file) >= 4 else by_shot
    limit, held = fraction * library.frames, list[Shot]()
    for _, group in sorted(groups.items()):
        if _frames(held) + _frames(group) <= limit:
            held += group
    return set(held or min(groups.values(), key=_frames))


def _split_one_shot(library: ClipLibrary, fraction: float) -> tuple[ClipLibrary, ClipLibrary]:
    """One shot only, which copies of its file may repeat: its end is held out."""
    copies = library.shots
    length = copies[0].stop - copies[0].start
    cut = max(1, length - max(1, round(fraction * length)))
    rest = [Shot(shot.clip, shot.start, shot.start + cut) for shot in copies]
    kept = [Shot(shot.clip, shot.start + cut, shot.stop) for shot in copies[:1] if cut < length]
    return library.with_shots(rest), library.with_shots(kept)


def _rank(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _frames(shots: Iterable[Shot]) -> int:
    return sum(shot.stop - shot.start for shot in shots)
