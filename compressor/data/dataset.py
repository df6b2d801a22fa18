"""Random clips from a library: item i depends on (seed, i) and nothing else.

So a stopped and resumed run sees the same clips, whatever the number of workers, and no
worker has state that must be saved.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vsrc.compressor.data.library import ClipLibrary, LibraryClip, Shot
from vsrc.compressor.data.window import CropWindow, cut
from vsrc.runtime.errors import DataError, describe_error
from vsrc.runtime.picture.fast_resize import Planes

logger = logging.getLogger(__name__)


class ClipItem(NamedTuple):
    """One clip as a worker returns it: uint8, a quarter of the bytes of float32."""

    lr: Tensor
    """`(L, 3, h, w)` uint8 RGB."""
    hr: Tensor
    """`(L, 3, s*h, s*w)` uint8 RGB; `(1, 3, s*h, s*w)` where the centre frame alone is kept."""
    source: str
    """File and first frame."""
    teacher: Tensor | None = None
    """`(1, 3, s*h, s*w)` uint8 RGB: a teacher's output for the centre frame, if it was stored."""


@dataclass(frozen=True)
class ClipBatch:
    """A batch of training clips.

    Attributes:
        lr: `(N, L, 3, h, w)` float32 RGB in [0, 1].
        hr: `(N, L, 3, s*h, s*w)` float32 RGB in [0, 1]; the centre alone, `(N, 1, ...)`, for
            crops read from shards.
        sources: File and first frame of each clip, for messages.
        teacher: `(N, 1, 3, s*h, s*w)`, the teacher's output for the centre frame, if stored.
    """

    lr: Tensor
    hr: Tensor
    sources: tuple[str, ...]
    teacher: Tensor | None = None


@dataclass(frozen=True)
class _Place:
    """Number of a clip, and the window cut from it."""

    clip: int
    window: CropWindow


class ClipDataset(Dataset[ClipItem]):
    """Crops of `clip_length` consecutive frames of one shot."""

    def __init__(
        self,
        library: ClipLibrary,
        *,
        clip_length: int,
        patch: int,
        seed: int,
        length: int | None = None,
        augment: bool = True,
        candidates: int = 1,
        stills: float = 0.0,
    ) -> None:
        """Find the shots that clips can be drawn from.

        Args:
            library: Library to draw from.
            clip_length: L, frames.
            patch: Side of the HR crop, pixels, a multiple of the scale.
            seed: Seed; with the index it determines an item.
            length: Result of `len`; None for the number of places a clip can start at. Items
                beyond it exist: an index has no upper bound.
            augment: Mirror, transpose and play backwards at random.
            candidates: Number of places drawn for an item, of which the one with most detail is
                taken; 1 for uniform sampling.
            stills: Probability that an item repeats its centre frame, 0..1.

        Raises:
            DataError: No shot is long enough, or no frame large enough.
            ValueError: The patch is no multiple of the scale.
        """
        if patch % library.scale or patch <= 0:
            raise ValueError(f"{patch=} must be a multiple of scale={library.scale}")
        if candidates < 1:
            raise ValueError(f"{candidates=} must be 1 or more")
        self._library = library
        self._clip_length = clip_length
        self._patch = patch
        self._seed = seed
        self._augment = augment
        self._candidates = candidates
        self._stills = stills
        self._shots = _usable_shots(library, clip_length=clip_length, patch=patch)
        starts = [shot.stop - shot.start - clip_length + 1 for shot in self._shots]
        self._ends = np.cumsum(starts)
        self._length = int(self._ends[-1]) if length is None else length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> ClipItem:
        """Item number `index`, which may be larger than `len`."""
        if index < 0:
            raise IndexError(f"{index=} must not be negative")
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((self._seed, index))))
        places = [self._place(rng) for _ in range(self._candidates)]
        place = places[0] if len(places) == 1 else max(places, key=self._detail)
        clip = self._library.clips[place.clip]
        pair = self._cut(clip, place, rng)
        lr, hr = (_tensor(planes) for planes in pair)
        if self._augment:
            lr, hr = augment_alike((lr, hr), rng)
        if self._stills and rng.random() < self._stills:
            lr, hr = repeat_centre(lr), repeat_centre(hr)
        return ClipItem(lr, hr, f"{clip.name}@{place.window.start}")

    def _place(self, rng: np.random.Generator) -> _Place:
        at = int(rng.integers(self._ends[-1]))
        number = int(np.searchsorted(self._ends, at, side="right"))
        shot = self._shots[number]
        # `_ends` counts the starts up to the end of each shot, so this counts back from its last.
        start = shot.stop - self._clip_length + 1 - (int(self._ends[number]) - at)
        scale = self._library.scale
        sides = [size // scale for size in self._library.clips[shot.clip].hr.shape[2:]]
        side = self._patch // scale
        top, left = (int(rng.integers(size - side + 1)) for size in sides)
        window = CropWindow(start, start + self._clip_length, top, left, side, side)
        return _Place(shot.clip, window)

    def _cut(
        self, clip: LibraryClip, place: _Place, rng: np.random.Generator
    ) -> tuple[Planes, Planes]:
        try:
            return cut(clip, place.window, scale=self._library.scale, rng=rng)
        except Exception as error:
            window = place.window
            raise DataError(
                f"frames {window.start} to {window.stop - 1} of {clip.name} cannot be read from "
                f"the cache in {clip.hr.folder}: {describe_error(error)}"
            ) from error

    def _detail(self, place: _Place) -> float:
        """Mean difference of neighbouring pixels in the green plane of the middle HR frame."""
        scale, window = self._library.scale, place.window
        frame = self._library.clips[place.clip].hr_frames(scale)[(window.start + window.stop) // 2]
        rows = slice(window.top * scale, (window.top + window.height) * scale)
        columns = slice(window.left * scale, (window.left + window.width) * scale)
        green = np.asarray(frame[1, rows, columns], dtype=np.int16)
        steps = (np.abs(np.diff(green, axis=axis)).mean() for axis in (0, 1))
        return float(sum(steps))


def collate(items: Sequence[ClipItem]) -> ClipBatch:
    """Stack clips and convert uint8 to float32 in [0, 1]."""
    pictures = [item.teacher for item in items if item.teacher is not None]
    return ClipBatch(
        lr=_stack([item.lr for item in items]),
        hr=_stack([item.hr for item in items]),
        sources=tuple(item.source for item in items),
        teacher=_stack(pictures) if pictures else None,
    )


def _usable_shots(library: ClipLibrary, *, clip_length: int, patch: int) -> list[Shot]:
    long = [shot for shot in library.shots if shot.stop - shot.start >= clip_length]
    if not long:
        longest = max((shot.stop - shot.start for shot in library.shots), default=0)
        raise DataError(
            f"no shot has {clip_length} frames (the longest has {longest}); give longer videos or "
            f"take shorter clips (--set clip_length={max(longest, 1)})"
        )
    sides = [min(library.clips[shot.clip].hr.shape[2:]) for shot in long]
    usable = [shot for shot, side in zip(long, sides, strict=True) if side >= patch]
    if lost := library.frames - sum(shot.stop - shot.start for shot in usable):
        logger.warning(
            "%d of %d frames are in shots shorter than %d frames or smaller than %d pixels",
            *(lost, library.frames, clip_length, patch),
        )
    if not usable:
        raise DataError(
            f"no clip is as large as {patch=} pixels (the largest has a side of {max(sides)}); "
            f"give larger videos or take a smaller patch (--set patch={max(sides)})"
        )
    return usable


def augment_alike(
    clips: Sequence[Tensor], rng: np.random.Generator, *, backwards: bool = True
) -> list[Tensor]:
    """Reverse in time, flip vertically, flip horizontally, transpose: each with probability 0.5.

    Args:
        clips: `(L, 3, H, W)` each, of any size: all get the same operations.
        rng: Random generator of the choice.
        backwards: Whether a clip may be played backwards.
    """
    reversed_, upside_down, mirrored, transposed = rng.random(4) < 0.5
    turns = {0: reversed_ and backwards, 2: upside_down, 3: mirrored}
    axes = [axis for axis, turned in turns.items() if turned]
    flipped = [clip.flip(axes) for clip in clips]
    return [clip.transpose(2, 3) for clip in flipped] if transposed else flipped


def repeat_centre(clip: Tensor) -> Tensor:
    """Repeat the centre frame in place of all others, as a photograph is upscaled; `(L, ...)`."""
    return clip[len(clip) // 2].expand_as(clip)


def _tensor(planes: Planes) -> Tensor:
    return torch.from_numpy(np.array(planes))  # a copy: the cache is mapped read-only


def _stack(clips: Sequence[Tensor]) -> Tensor:
    # Copied straight into the batch: an intermediate stack of bytes would double the cost.
    batch = torch.empty((len(clips), *clips[0].shape))
    for place, clip in zip(batch, clips, strict=True):
        torch.div(clip, 255, out=place)
    return batch
