"""LR files of still images, named as DIV2K names them.

DIV2K_train_HR/0001.png     DIV2K_train_LR_bicubic/X4/0001x4.png, ..._LR_unknown/X4/0001x4.png
HR/0001.png                 LR_bicubic/X4/0001x4.png
0001.png                    0001x4.png
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from vsrc.runtime.decode.clip_source import ClipSource, Twin, list_pictures

_SCALES = (4, 2, 3, 8)
"""Scales that are looked for where none is wanted, in this order."""

_SCALED = re.compile(r".*x[2-9][mdw]?")
"""Stem of an LR image; m, d and w are DIV2K's mild, difficult and wild."""


def is_scaled_name(picture: Path) -> bool:
    """Whether an image is named as LR of another: `0001x4.png`."""
    return _SCALED.fullmatch(picture.stem) is not None


def twins_of(
    picture: Path, folders: Sequence[Path], *, scale: int | None
) -> dict[Twin, ClipSource]:
    """Find the LR files of an image.

    Args:
        picture: HR image.
        folders: Folders to look in, and in their `X4` (or another scale).
        scale: SR/LR side ratio; None for any.
    """
    twins: dict[Twin, ClipSource] = {}
    for folder in folders:
        made: Twin = "bi" if "bicubic" in folder.name.lower() else "given"
        file = next(_candidates(picture, folder, (scale,) if scale else _SCALES), None)
        if file is not None and made not in twins:
            twins[made] = ClipSource(f"{folder.name}/{file.name}", (file,), one_shot=True)
    return twins


def lr_folders(high: Path) -> list[Path]:
    """Folders of LR images beside a folder whose name ends with `HR`."""
    start = f"{high.name.removesuffix('HR')}LR"
    beside = sorted(path for path in high.parent.iterdir() if path.is_dir())
    return [path for path in beside if path.name.startswith(start)]


def holds_scaled_names(folder: Path) -> bool:
    """Whether the LR images of a folder, or of its `X4`, are named `0001x4.png`."""
    places = [folder, *(folder / f"X{scale}" for scale in _SCALES)]
    return any(is_scaled_name(path) for place in places for path in list_pictures(place)[:1])


def _candidates(picture: Path, folder: Path, scales: Sequence[int]) -> Iterator[Path]:
    for scale in scales:
        for place in (folder / f"X{scale}", folder):
            for suffix in ("", "m", "d", "w"):
                file = place / f"{picture.stem}x{scale}{suffix}{picture.suffix}"
                if file.is_file():
                    yield file
