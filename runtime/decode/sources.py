"""Find inputs: videos and image sequences, from paths, folders and globs."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vsrc.runtime.decode.clip_layouts import find_clips
from vsrc.runtime.decode.clip_source import PICTURE_SUFFIXES, VIDEO_SUFFIXES, natural_key
from vsrc.runtime.errors import MediaError
from vsrc.runtime.numbering import find_matching, is_pattern

PIPE = "-"
"""As an input: read the video from stdin. As an output: write frames to stdout."""


@dataclass(frozen=True)
class Source:
    """One video, or one image sequence.

    Attributes:
        name: Name in messages and, without suffix, in an output folder.
        files: One video, or the images in order.
        is_pictures: Whether it is an image sequence.
    """

    name: str
    files: tuple[Path, ...]
    is_pictures: bool

    @property
    def is_pipe(self) -> bool:
        """Whether it is read from stdin."""
        return str(self.files[0]) == PIPE


def find_sources(inputs: Sequence[str | Path]) -> list[Source]:
    """Return the sources in the order they were named.

    Consecutive image files of one folder are one source: that is what a shell expands
    `frames/*.png` to.

    Args:
        inputs: Videos, images, folders (searched at any depth), globs, printf patterns
            (`frame_%04d.png`), and `-` for stdin.

    Raises:
        MediaError: A glob or pattern matches nothing.
        DataError: A folder contains neither videos nor images.
    """
    sources: list[Source] = []
    for source in (candidate for text in inputs for candidate in _find(text)):
        last = sources[-1] if sources else None
        if last and _continues(last, source):
            sources[-1] = Source(last.name, last.files + source.files, is_pictures=True)
        else:
            sources.append(source)
    return sources


def _find(text: str | Path) -> Iterator[Source]:
    path = Path(text)
    if str(text) == PIPE:
        yield Source("stdin", (path,), is_pictures=False)
    elif path.is_dir():
        for clip in find_clips(path).clips:
            yield Source(clip.name, clip.files, is_pictures=not clip.is_video)
    elif path.suffix.lower() in PICTURE_SUFFIXES and path.exists():
        yield Source(path.parent.name or "frames", (path,), is_pictures=True)
    elif not path.exists() and is_pattern(path):
        yield Source(path.parent.name or "frames", tuple(find_matching(path)), is_pictures=True)
    elif path.exists() or not glob.has_magic(str(text)):
        yield Source(str(path), (path,), is_pictures=False)
    else:
        yield from _match(str(text))


def _match(pattern: str) -> Iterator[Source]:
    names = glob.glob(pattern, recursive=True)  # noqa: PTH207  Path.glob takes no absolute pattern
    files = sorted(map(Path, names), key=natural_key)
    known = [path for path in files if path.suffix.lower() in PICTURE_SUFFIXES | VIDEO_SUFFIXES]
    if not known:
        what = f"{len(files)} files, none of them a video or image" if files else "no file"
        raise MediaError(f"{pattern!r} matches {what}")
    for path in known:
        yield from _find(path)


def _continues(last: Source, source: Source) -> bool:
    both = last.is_pictures and source.is_pictures
    return both and last.files[-1].parent == source.files[0].parent
