"""Find inputs: videos and image sequences, from paths, folders and globs."""

from __future__ import annotations

import glob
import itertools
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vsrc.runtime.decode.clip_layouts import (
    SkippedFile,
    describe_skipped,
    find_clips,
    find_skipped,
    why_skipped,
)
from vsrc.runtime.decode.clip_source import natural_key
from vsrc.runtime.decode.detection import is_picture_file
from vsrc.runtime.errors import DataError, MediaError
from vsrc.runtime.media_access import is_url, media_access
from vsrc.runtime.numbering import find_matching, is_pattern
from vsrc.runtime.sample import typed_input

PIPE = "-"
"""As an input: read the video from stdin. As an output: write frames to stdout."""


@dataclass(frozen=True)
class Source:
    """One video, or one image sequence.

    Attributes:
        name: Name in messages and, without suffix, in an output folder.
        files: One video, or the images in order.
        is_pictures: Whether it is an image sequence.
        below: Path of its result in an output folder, with the suffix of the source: for what was
            found in a folder, its path below that. None for the name of the file, or of the
            sequence.
    """

    name: str
    files: tuple[Path, ...]
    is_pictures: bool
    below: Path | None = None

    @property
    def is_pipe(self) -> bool:
        """Whether it is read once, as it comes: from stdin or the network."""
        return is_stream(self.files[0])


def is_stream(path: Path) -> bool:
    """Whether an input is stdin or a URL."""
    return str(path) == PIPE or is_url(path)


def describe_refused_url(url: object) -> str:
    """Say that URLs are not opened, and how they can be read."""
    return (
        f"{url} is a URL, and vsrc reads files and pipes only; let ffmpeg read it: "
        f"ffmpeg -i {shlex.quote(str(url))} -c copy -f matroska - | vsrc infer - -o OUT.mkv; or "
        "add --allow-network"
    )


def find_sources(inputs: Sequence[str | Path], *, output: str | Path | None = None) -> list[Source]:
    """Return the sources in the order they were named.

    Consecutive image files of one folder are one source: that is what a shell expands
    `frames/*.png` to. In folders and globs the results of an earlier run, which lie at or below
    the output, are left out.

    Args:
        inputs: Videos, images, folders (searched at any depth), globs, printf patterns
            (`frame_%04d.png`), and `-` for stdin.
        output: Output of the run: a file, an image pattern or a folder.

    Raises:
        MediaError: A glob or pattern matches nothing, or an input is a URL.
        DataError: A folder contains neither videos nor images, or earlier results alone.
    """
    sources: list[Source] = []
    for source in (candidate for text in inputs for candidate in _find(text, output)):
        last = sources[-1] if sources else None
        if last and _continues(last, source):
            sources[-1] = replace(last, files=last.files + source.files)
        else:
            sources.append(source)
    if not sources:
        raise DataError(f"the inputs contain only results of an earlier run in {output}")
    return sources


def _find(text: str | Path, output: str | Path | None = None) -> Iterator[Source]:
    path = Path(text)
    if is_url(path) and not media_access().network:
        raise MediaError(describe_refused_url(text))
    if is_stream(path):
        yield _stream(path, text)
    elif path.is_dir():
        yield from _in_folder(path, output)
    elif is_picture_file(path) and path.exists():
        yield Source(_folder_name(path.parent), (path,), is_pictures=True)
    elif not path.exists() and is_pattern(path):
        yield Source(_folder_name(path.parent), tuple(find_matching(path)), is_pictures=True)
    elif path.exists() or not glob.has_magic(str(text)):
        yield Source(typed_input(path), (path,), is_pictures=False)
    else:
        yield from _match(str(text), output)


def _stream(path: Path, text: str | Path) -> Source:
    name = "stdin" if str(path) == PIPE else str(text)
    below = Path("stdin.mkv" if str(path) == PIPE else "stream.mkv")
    return Source(name, (path,), is_pictures=False, below=below)


def _in_folder(root: Path, output: str | Path | None) -> Iterator[Source]:
    for clip in find_clips(root).clips:
        if not _is_result(clip.place, root, output):
            below = Path(_folder_name(root) if clip.place == root else clip.name)
            yield Source(clip.name, clip.files, is_pictures=not clip.is_video, below=below)


def find_skipped_of(
    inputs: Sequence[str | Path], *, output: str | Path | None = None
) -> list[SkippedFile]:
    """List the files of folders and globs that are neither videos nor images, with the reason.

    Args:
        inputs: As for `find_sources`.
        output: As for `find_sources`.
    """
    found: list[SkippedFile] = []
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            skipped = find_skipped(path)
            found += [file for file in skipped if not _is_result(path / file.name, path, output)]
        elif not path.exists() and glob.has_magic(str(text)):
            found += _skipped_of(_glob(str(text), output))
    return found


def _folder_name(folder: Path) -> str:
    """Name for the images of a folder, without `..`."""
    name = folder.name if folder.name != ".." else Path(os.path.abspath(folder)).name  # noqa: PTH100
    return name or "frames"


def _is_result(path: Path, root: Path, output: str | Path | None) -> bool:
    """Whether a file or folder below `root` is the output, or lies in it."""
    if output is None or str(output) == PIPE:
        return False
    place = Path(output)
    if place.suffix.lower() == ".png":  # a pattern: the folder of the images
        place = place.parent
    top, place = (Path(os.path.realpath(each)) for each in (root, place))
    is_inner = place != top and place.is_relative_to(top)
    return is_inner and Path(os.path.realpath(path)).is_relative_to(place)


def _match(pattern: str, output: str | Path | None) -> Iterator[Source]:
    files = _glob(pattern, output)
    known = [path for path in files if why_skipped(path) is None and not path.is_dir()]
    if not known:
        what = f"{len(files)} files, none of them a video or image" if files else "no file"
        skipped = "".join(f"; {line}" for line in describe_skipped(_skipped_of(files)))
        raise MediaError(f"{pattern!r} matches {what}{skipped}")
    for path in known:
        yield from _find(path)


def _glob(pattern: str, output: str | Path | None) -> list[Path]:
    names = glob.glob(pattern, recursive=True)  # noqa: PTH207  Path.glob takes no absolute pattern
    plain = itertools.takewhile(lambda part: not glob.has_magic(part), Path(pattern).parts)
    root = Path(*plain)
    files = [path for path in map(Path, names) if not _is_result(path, root, output)]
    return sorted(files, key=natural_key)


def _skipped_of(files: Sequence[Path]) -> list[SkippedFile]:
    others = [path for path in files if not path.is_dir()]
    return [SkippedFile(str(path), reason) for path in others if (reason := why_skipped(path))]


def _continues(last: Source, source: Source) -> bool:
    both = last.is_pictures and source.is_pictures
    return both and last.files[-1].parent == source.files[0].parent
