"""All clips of some data folders, decoded and cut into shots."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from vsrc.compressor.data.cache import CachedClip
from vsrc.runtime.decode.clip_source import Subset
from vsrc.runtime.picture.fast_resize import Planes

DataDegradation = Literal["bi", "bd", "real", "given"]
"""How LR is made from HR; `given` uses the LR frames of the data set."""


@dataclass(frozen=True)
class IngestProgress:
    """Progress of decoding.

    Attributes:
        name: Source being decoded.
        done: Number of finished sources.
        total: Number of sources.
        frames: Number of frames decoded from the current source; 0 when it is finished.
    """

    name: str
    done: int
    total: int
    frames: int = 0


@dataclass(frozen=True)
class LibraryClip:
    """A clip of the library.

    Attributes:
        name: Display name: the data folder, and the path below it.
        hr: Decoded HR clip in the cache.
        lr_path: File of LR frames, `(T, 3, H/s, W/s)` uint8; None where LR is made anew for each
            crop.
        subset: Subset (training, test, ...) according to its layout's lists.
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
        clips: Clips of all folders.
        shots: Shots that crops may be taken from; a split keeps a part of them.
        scale: HR/LR side ratio.
        degradation: How LR is made from HR.
        layouts: One line per folder: the layout that was recognised.
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
        """Number of frames in all shots."""
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
        """Return a library of the same clips with other shots."""
        return replace(self, shots=tuple(shots))
