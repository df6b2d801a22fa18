"""Where results go: one place for each source, checked before anything is decoded."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vsrc.runtime.decode.probe import VideoInfo
from vsrc.runtime.decode.sources import PIPE, Source
from vsrc.runtime.errors import MediaError

_NUMBERED = re.compile(r"%0?\d*d")

_KEPT_SUFFIXES = frozenset((".m4v", ".mkv", ".mov", ".mp4", ".ts"))
"""Containers that hold what any other does; a source in another one becomes .mkv in a folder."""

_PNG_BYTES_PER_PIXEL = 1.0
"""PNG of a photograph: a third of its 3 bytes at best, two thirds as a rule."""

_VIDEO_BITS_PER_PIXEL = 0.01
"""A tenth of what x264 at crf 18 needs for live action: less than that is no video worth having."""


@dataclass(frozen=True)
class Target:
    """Where the result of one source goes.

    Attributes:
        source: What is restored.
        path: The video file, or the folder of the pictures.
        is_pictures: Which of the two.
        pattern: File name of picture n in printf's words; empty to keep the names of the source.
    """

    source: Source
    path: Path
    is_pictures: bool
    pattern: str = ""

    @property
    def is_pipe(self) -> bool:
        """Whether frames go to stdout."""
        return str(self.path) == PIPE


def plan_targets(sources: Sequence[Source], output: Path) -> list[Target]:
    """A target for each source.

    Args:
        sources: One or more.
        output: A video file or `out/%08d.png` for one source; a folder for any number: it is one
            if it exists as one or has no suffix.

    Raises:
        ValueError: Several sources would go to one place.
    """
    if str(output) == PIPE:
        if len(sources) > 1:
            raise ValueError(f"{len(sources)} inputs cannot go to one pipe; name a folder")
        return [Target(sources[0], output, is_pictures=False)]
    if output.is_dir() or not output.suffix:
        several = len(sources) > 1
        targets = [_in_folder(source, output, several=several) for source in sources]
        if len({target.path for target in targets}) < len(targets):
            raise ValueError(f"two inputs would have the same name in {output}; run them apart")
        return targets
    if len(sources) > 1:
        raise ValueError(f"{len(sources)} inputs need a folder as output, not {output}")
    if output.suffix.lower() == ".png":
        if len(_NUMBERED.findall(output.name)) != 1 or output.name.count("%") != 1:
            raise ValueError(f"{output} is one picture; name them by number: -o out/%08d.png")
        return [Target(sources[0], output.parent, is_pictures=True, pattern=output.name)]
    return [Target(sources[0], output, is_pictures=False)]


def _in_folder(source: Source, folder: Path, *, several: bool) -> Target:
    if source.is_pictures:
        # One row of pictures fills the folder; several get one each.
        path = folder / source.name if several else folder
        return Target(source, path, is_pictures=True)
    file = Path("stdin.mkv") if source.is_pipe else source.files[0]
    suffix = file.suffix if file.suffix.lower() in _KEPT_SUFFIXES else ".mkv"
    return Target(source, folder / f"{file.stem}{suffix}", is_pictures=False)


def check_target(target: Target, *, overwrite: bool) -> None:
    """Refuse a place that is taken, or that is the source itself.

    Raises:
        MediaError: The message says which, and what to do.
    """
    path = target.path
    if target.is_pipe:
        return
    inputs = {file.resolve() for file in target.source.files}
    inputs |= {file.parent for file in inputs} if target.is_pictures else set()
    if path.resolve() in inputs:
        raise MediaError(f"{path} is the input itself; write the result somewhere else")
    if target.is_pictures:
        if path.exists() and not path.is_dir():
            raise MediaError(f"{path} is a file; the pictures need a folder")
        if path.is_dir() and any(path.glob("*.png")) and not overwrite:
            raise MediaError(f"{path} holds pictures; add --overwrite to replace those of one name")
    elif path.is_dir():
        raise MediaError(f"{path} is a folder; name a file in it")
    elif path.exists() and not overwrite:
        raise MediaError(f"{path} exists; add --overwrite to replace it")


def prepare_folder(target: Target) -> Path:
    """The folder that holds the target, made if need be.

    Raises:
        MediaError: It cannot be made.
    """
    folder = target.path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"{folder} cannot be made: {error.strerror}") from error
    return folder


def check_space(
    folder: Path, info: VideoInfo, *, frames: int, scale: int, pictures: bool, kept: int = 0
) -> None:
    """Refuse a job that cannot fit on the disk.

    How well a video compresses is known afterwards only, so the estimate is a low one; a disk that
    fills up later ends the job cleanly.

    Args:
        folder: Where the result is written.
        info: The source.
        frames: Frames of the result, 0 where unknown.
        scale: Side ratio of the result to the source.
        pictures: PNG files rather than a video.
        kept: Frames that are there already, in finished parts.

    Raises:
        MediaError: Less is free than the least it can take.
    """
    pixels = info.width * info.height * scale**2
    missing = max(0, frames - kept)
    # The parts of a video lie beside the file that they are put into, until the last byte is there.
    needed = pixels * (
        missing * _PNG_BYTES_PER_PIXEL
        if pictures
        else (missing + frames) * _VIDEO_BITS_PER_PIXEL / 8
    )
    _, used, free = shutil.disk_usage(folder)
    # Of a file system that is none (/proc) nothing is known: opening the file will tell.
    if free < needed and used + free > 0:
        raise MediaError(
            f"{folder} has {free / 1e6:.1f} MB free and {missing} frames of {info.width * scale}x"
            f"{info.height * scale} need {needed / 1e6:.1f} MB at least; free some space, or write "
            "elsewhere"
        )
