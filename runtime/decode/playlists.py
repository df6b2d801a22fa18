"""Playlists (.m3u8) and concat scripts, whatever their suffix: which files they name.

FFmpeg opens what they name, so the names are read here first: each must be a file in the folder of
the playlist, or below it, also after links are resolved. They are read as FFmpeg reads them, and
what it would take for something else than a name (a protocol, an escape, an attribute without
quotes) is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from vsrc.runtime.errors import MediaError
from vsrc.runtime.media_access import media_access

_HEAD_BYTES = 4096
_LONGEST_BYTES = 4 << 20
_DEEPEST = 4
"""Playlists within playlists: a master, its variants, and two more."""

_OTHERS = (b"[playlist]", b"v=0\r", b"v=0\n", b"<?wpl", b"<asx", b"<ASX")
_LINE_END = re.compile(r"[\r\n\0]")
"""Where FFmpeg ends a line; Python knows more, and does not know NUL."""

_BLANKS = " \t\f\v"
_ATTRIBUTE = re.compile(r'URI=("([^"\\]*)"|)')
"""A name in a tag: its second group; none where FFmpeg reads it in another way."""

_CONCAT_NAME = re.compile(r"""[ \t]+(?:'([^']*)'|([^\s'"\\]+))[ \t]*""")
_PROTOCOL = re.compile(r"[A-Za-z0-9+.-]+:")
_BOM = b"\xef\xbb\xbf"


def is_playlist(path: Path) -> bool:
    """Whether a file begins as a playlist, a concat script or a description of a stream does."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return begins_a_playlist(head)


def begins_a_playlist(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a playlist, as `is_playlist` tells."""
    start = head.removeprefix(_BOM).lstrip()
    return start.startswith((b"#EXTM3U", b"ffconcat", *_OTHERS)) or b"<mpd" in head.lower()


def check_playlist(path: Path) -> None:
    """Raise if a file is a playlist that may not be opened.

    Raises:
        MediaError: Playlists are not allowed, this one names a file outside its folder, or it is of
            a kind that is not read.
    """
    if is_playlist(path):
        files_of(path)


def files_of(path: Path) -> list[Path]:
    """List a video file, and what it names if it is a playlist, at any depth.

    Raises:
        MediaError: As for `check_playlist`.
    """
    if not path.is_file() or not is_playlist(path):
        return [path]
    if not media_access().playlists:
        raise MediaError(
            f"{path} is a playlist, which names other files; --allow-playlist reads those in its "
            "own folder"
        )
    return list(dict.fromkeys(_walk(path, path.resolve().parent, depth=0)))


def with_members(paths: Iterable[Path]) -> list[Path]:
    """List files, and what those of them that are playlists and may be read name; never raises."""
    return [member for path in paths for member in _members_of(path)]


def _members_of(path: Path) -> list[Path]:
    try:
        return files_of(path)
    except (MediaError, OSError):  # whoever opens it says so
        return [path]


def _walk(path: Path, folder: Path, *, depth: int) -> Iterator[Path]:
    if depth > _DEEPEST:
        raise MediaError(f"{path} is a playlist within {_DEEPEST} others; give one of those")
    yield path
    for name in _names(path):
        file = path.parent / name
        plain = Path(os.path.normpath(file))  # FFmpeg shortens `a/..`, whatever `a` links to
        is_inside = all(each.resolve().is_relative_to(folder) for each in (file, plain))
        if not is_inside or _PROTOCOL.match(name):
            raise MediaError(
                f"{path} names {name}, which is not in the folder {folder}; --allow-playlist reads "
                "only files of that folder"
            )
        if not (file.is_file() and plain.is_file()):
            raise MediaError(f"{path} names {name}, and there is no such file")
        if is_playlist(file):
            yield from _walk(file, folder, depth=depth + 1)
        else:
            yield file


def _names(path: Path) -> Iterator[str]:
    """Yield the names in a playlist."""
    with path.open("rb") as file:
        data = file.read(_LONGEST_BYTES + 1)
    if len(data) > _LONGEST_BYTES:
        raise MediaError(f"{path} is a playlist of more than {_LONGEST_BYTES >> 20} MB")
    text = data.removeprefix(_BOM).decode("utf-8", "surrogateescape").lstrip()
    lines = [line.rstrip(_BLANKS) for line in _LINE_END.split(text)]
    if text.startswith("#EXTM3U"):
        for line in filter(None, lines):
            yield from _attributes(path, line) if line.startswith("#") else [line]
    elif text.startswith("ffconcat"):
        for line in lines:
            keyword, names = line.lstrip(_BLANKS)[:4], line.lstrip(_BLANKS)[4:]
            if keyword == "file" and names[:1] in tuple(_BLANKS):
                yield _unquoted(path, names)
    else:
        raise MediaError(f"{path} is a playlist of an unsupported kind; expected .m3u8 or ffconcat")


def _attributes(path: Path, line: str) -> Iterator[str]:
    """Yield the names in a tag of an .m3u8 file."""
    for match in _ATTRIBUTE.finditer(line):
        if match[2] is None:
            raise MediaError(f'{path}: {line!r} is not understood; expected URI="NAME"')
        yield match[2]


def _unquoted(path: Path, words: str) -> str:
    """Return the name of a `file` line of a concat script."""
    if (match := _CONCAT_NAME.fullmatch(words)) is None:
        raise MediaError(
            f"{path}: 'file{words}' is not understood; expected file NAME or file 'NAME', without "
            "escapes and other quotes"
        )
    return match[1] if match[1] is not None else match[2]
