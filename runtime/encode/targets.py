"""Plan and check the output path of each source before anything is decoded."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vsrc.runtime.decode.playlists import with_members
from vsrc.runtime.decode.probe import VideoInfo
from vsrc.runtime.decode.sources import PIPE, Source
from vsrc.runtime.errors import MediaError, OutputError
from vsrc.runtime.media_access import is_url, restored_url

_NUMBERED = re.compile(r"%0?\d*d")

_KEPT_SUFFIXES = frozenset((".m4v", ".mkv", ".mov", ".mp4", ".ts"))
"""Containers kept for results in a folder; a source in another container becomes .mkv."""

_PNG_BYTES_PER_PIXEL = 1.0
"""Least bytes per pixel of a PNG: a third of 3 bytes at best, two thirds typically."""

_VIDEO_BITS_PER_PIXEL = 0.01
"""Least bits per pixel of a video: a tenth of what x264 at crf 18 needs for live action."""


@dataclass(frozen=True)
class Target:
    """Output of one source.

    Attributes:
        source: Source to upscale.
        path: Video file, or folder of the images.
        is_pictures: Whether images are written.
        pattern: printf pattern of the image file names, or the name of a single image; empty to
            keep those of the source.
    """

    source: Source
    path: Path
    is_pictures: bool
    pattern: str = ""

    @property
    def is_pipe(self) -> bool:
        """Whether frames are written to stdout."""
        return str(self.path) == PIPE

    @property
    def is_one_picture(self) -> bool:
        """Whether a single image of a given name is written."""
        return self.is_pictures and bool(self.pattern) and "%" not in self.pattern

    @property
    def result_path(self) -> Path:
        """Path to report: the video, the single image, or the folder of the images."""
        return self.path / self.pattern if self.is_one_picture else self.path


def plan_targets(
    sources: Sequence[Source], output: Path, *, frames: int | None = None
) -> list[Target]:
    """Return a target for each source.

    Args:
        sources: One or more sources.
        output: A video file or `out/%08d.png` for one source, or a folder for any number; a path
            without suffix is taken as a folder.
        frames: Number of frames to upscale of each source; None for all. A single one may go to an
            image without a number.

    Raises:
        MediaError: The output is a URL.
        ValueError: Several sources would be written to one path.
    """
    if is_url(output):
        raise MediaError(
            f"{restored_url(output)} is a URL, and vsrc writes files and pipes only; let ffmpeg "
            "send it: vsrc infer IN -o - | ffmpeg -i - -f FORMAT URL"
        )
    if str(output) == PIPE:
        if len(sources) > 1:
            raise ValueError(f"{len(sources)} inputs cannot go to one pipe; name a folder")
        return [Target(sources[0], output, is_pictures=False)]
    if output.is_dir() or not output.suffix:
        return _in_one_folder(sources, output)
    if len(sources) > 1:
        raise ValueError(f"{len(sources)} inputs need a folder as output, not {output}")
    if output.suffix.lower() == ".png":
        return [_plan_images(sources[0], output, frames)]
    return [Target(sources[0], output, is_pictures=False)]


def _plan_images(source: Source, output: Path, frames: int | None) -> Target:
    """Return the target for `out/%08d.png`, or for one image of a single frame."""
    is_image = source.is_pictures and len(source.files) == 1
    is_one = (is_image or frames == 1) and "%" not in output.name
    if not is_one and (len(_NUMBERED.findall(output.name)) != 1 or output.name.count("%") != 1):
        raise ValueError(
            f"{output} is one image and the input has several frames; number the images: "
            "-o out/%08d.png, or take one of them: --frames 1"
        )
    return Target(source, output.parent, is_pictures=True, pattern=output.name)


def _in_one_folder(sources: Sequence[Source], folder: Path) -> list[Target]:
    several = len(sources) > 1
    targets = [_in_folder(source, folder, several=several) for source in sources]
    count = Counter(target.path for target in targets)
    targets = [_with_suffix(target) if count[target.path] > 1 else target for target in targets]
    first: dict[Path, Target] = {}
    for target in targets:
        other = first.setdefault(target.path, target)
        if other is not target:
            raise ValueError(
                f"{_place(other.source)} and {_place(target.source)} would both be written to "
                f"{target.path}; give them different output folders, or give the folder that "
                "contains both as the input: its tree is kept"
            )
    return targets


def _place(source: Source) -> Path:
    """Path of a source for messages: the video, or the folder of the images."""
    return source.files[0].parent if source.is_pictures else source.files[0]


def _in_folder(source: Source, folder: Path, *, several: bool) -> Target:
    if source.is_pictures:
        # One image sequence fills the folder; several get a subfolder each.
        path = folder / (source.below or source.name) if several else folder
        return Target(source, path, is_pictures=True)
    file = source.below or Path(source.files[0].name)
    name = f"{file.stem}{kept_suffix(file)}"
    return Target(source, folder / file.parent / name, is_pictures=False)


def kept_suffix(video: Path) -> str:
    """Suffix of the result of a video where only a folder is named."""
    return video.suffix if video.suffix.lower() in _KEPT_SUFFIXES else ".mkv"


def _with_suffix(target: Target) -> Target:
    """Keep the suffix of a source in the name of its result: `a.gif.mkv` beside `a.avi.mkv`."""
    file = target.source.files[0]
    if target.is_pictures or target.path.suffix.lower() == file.suffix.lower():
        return target
    return replace(target, path=target.path.with_name(f"{file.name}{target.path.suffix}"))


def check_target(target: Target, *, overwrite: bool) -> None:
    """Raise if the output exists and is not to be replaced.

    Raises:
        OutputError: The output cannot be used; the message says why, and what to do.
    """
    path = target.result_path
    if target.is_pipe:
        return
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OutputError(f"{path} is a device or a pipe; -o - writes frames to stdout")
    if target.is_pictures and not target.is_one_picture:
        if path.exists() and not path.is_dir():
            raise OutputError(f"{path} is a file; name a folder for the images")
        if path.is_dir() and any(path.glob("*.png")) and not overwrite:
            raise OutputError(
                f"{path} contains images; add --overwrite to replace those of the same name"
            )
    elif path.is_dir():
        raise OutputError(f"{path} is a folder; name a file in it")
    elif path.exists() and not overwrite:
        raise OutputError(f"{path} exists; add --overwrite to replace it")


def input_paths(targets: Sequence[Target]) -> list[Path]:
    """List the files of the sources, with those that playlists name.

    Of images that are written to a folder their folder is listed, too.
    """
    files = with_members(file for target in targets for file in target.source.files)
    pictures = (
        target
        for target in targets
        if target.is_pictures and target.source.is_pictures and not target.is_one_picture
    )
    folders = {file.parent for target in pictures for file in target.source.files}
    return [*files, *sorted(folders)]


def prepare_folder(target: Target) -> Path:
    """Return the folder of the target, created if it does not exist.

    Raises:
        MediaError: The folder cannot be created.
    """
    folder = target.path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"{folder} cannot be created: {error.strerror}") from error
    return folder


def check_space(
    folder: Path, info: VideoInfo, *, frames: int, scale: int, pictures: bool, kept: int = 0
) -> None:
    """Raise if the result of a job cannot fit on the disk.

    The compressed size is not known in advance, so the estimate is a lower bound; a disk that fills
    up later ends the job cleanly.

    Args:
        folder: Folder that the result is written to.
        info: Properties of the source.
        frames: Number of frames of the result; 0 if unknown.
        scale: Side ratio of the result to the source.
        pictures: Whether PNG files are written rather than a video.
        kept: Number of frames that already exist, in finished segments.

    Raises:
        MediaError: Less space is free than the lower bound.
    """
    pixels = info.width * info.height * scale**2
    missing = max(0, frames - kept)
    # The segments of a video stay beside the output file until that is complete.
    needed = pixels * (
        missing * _PNG_BYTES_PER_PIXEL
        if pictures
        else (missing + frames) * _VIDEO_BITS_PER_PIXEL / 8
    )
    _, used, free = shutil.disk_usage(folder)
    # Virtual file systems (/proc) report no free space: opening the file will fail if need be.
    if free < needed and used + free > 0:
        raise MediaError(
            f"{folder} has {free / 1e6:.1f} MB free and {missing} frames of {info.width * scale}x"
            f"{info.height * scale} need {needed / 1e6:.1f} MB at least; free some space, or write "
            "elsewhere"
        )
