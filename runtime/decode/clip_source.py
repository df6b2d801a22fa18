"""The files of a clip."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vsrc.runtime.decode.detection import PICTURE_SUFFIXES
from vsrc.runtime.sample import typed_input
from vsrc.runtime.text.count_text import count_text

Subset = Literal["train", "test", "any"]
Twin = Literal["bi", "bd", "given"]
"""Degradation of an LR clip: as its layout says, or `given` where the layout does not say."""


@dataclass(frozen=True)
class ClipSource:
    """Source of the frames of one clip.

    Attributes:
        name: Path below the folder that was searched, for messages.
        files: One video, or the images in order.
        twins: Degradation -> LR clip of the same frames.
        subset: Subset (train, test, ...) that the lists of the layout assign it to.
        one_shot: Whether the layout guarantees that the clip has no scene cut.
    """

    name: str
    files: tuple[Path, ...]
    twins: Mapping[Twin, ClipSource] = field(default_factory=dict)
    subset: Subset = "any"
    one_shot: bool = False

    @property
    def is_video(self) -> bool:
        """Whether all frames are in one video file."""
        return len(self.files) == 1 and self.files[0].suffix.lower() not in PICTURE_SUFFIXES

    def twin_for(self, degradation: str) -> ClipSource | None:
        """LR clip of a degradation; for `given` any, one of unknown degradation first."""
        if degradation == "given":
            return self.twins.get("given") or next(iter(self.twins.values()), None)
        return next((twin for made, twin in self.twins.items() if made == degradation), None)

    @property
    def place(self) -> Path:
        """Path of the video, or of the folder of the images."""
        return self.files[0] if self.is_video else self.files[0].parent


@dataclass(frozen=True)
class Layout:
    """Clips in a folder.

    Attributes:
        kind: Name of the layout, for messages.
        root: Folder that was searched.
        clips: Clips sorted by name; never empty.
    """

    kind: str
    root: Path
    clips: tuple[ClipSource, ...]

    def __str__(self) -> str:
        """Folder, layout and number of clips."""
        return f"{typed_input(self.root)}: {self.kind}, {count_text(len(self.clips), 'clip')}"


def list_pictures(folder: Path) -> tuple[Path, ...]:
    """Image files directly in a folder, in natural order; empty if there is no such folder."""
    if not folder.is_dir():
        return ()
    pictures = (path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)
    shown = (path for path in pictures if not is_hidden(Path(path.name)) and path.is_file())
    return tuple(sorted(shown, key=natural_key))


def is_hidden(path: Path) -> bool:
    """Whether a file was left by a file manager: thumbnails, resource forks."""
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)


def natural_key(path: Path) -> tuple[tuple[int, int | str], ...]:
    """Sort key for natural order: `im2` before `im10`."""
    pieces = re.split(r"(\d+)", path.as_posix())
    return tuple((0, int(piece)) if piece.isdecimal() else (1, piece) for piece in pieces if piece)
