"""Find out whether a file of a folder is a video: by its suffix, or else by its contents."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from vsrc.runtime.decode.covers import is_cover
from vsrc.runtime.decode.playlists import begins_a_playlist
from vsrc.runtime.media_access import REFER_TO_OTHERS, demuxers_except
from vsrc.runtime.pyav_versions import open_input

# fmt: off
VIDEO_SUFFIXES = frozenset((
    ".264", ".265", ".3g2", ".3gp", ".apng", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif",
    ".h264", ".h265", ".hevc", ".ivf", ".m1v", ".m2t", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov",
    ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".obu", ".ogv", ".qt", ".rm", ".rmvb",
    ".ts", ".vob", ".webm", ".wmv", ".y4m",
))
PICTURE_SUFFIXES = frozenset((
    ".avif", ".bmp", ".dpx", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".qoi", ".tga",
    ".tif", ".tiff", ".webp",
))
# fmt: on

_SOURCE_CODE = frozenset((".mts", ".ts"))
"""Suffixes of transport streams that TypeScript has, too."""

_TEXT_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")
_HEAD_BYTES = 4096

_READ_NO_MORE = REFER_TO_OTHERS | frozenset((
    "adf", "ass", "bin", "data", "dvbsub", "dvbtxt", "ffmetadata", "idf", "image2", "image2pipe",
    "jacosub", "lrc", "microdvd", "mpl2", "mpsub", "pjs", "rawvideo", "realtext", "sami", "scc",
    "srt", "stl", "subviewer", "subviewer1", "sup", "tedcaptions", "tty", "txd", "vplayer",
    "webvtt", "xbin",
))  # fmt: skip
"""Demuxers of playlists, streams of a network, text, subtitles, and of anything at all."""

_STILLS = ("_pipe", "ico")
_NO_MEDIA = "no video that FFmpeg can read"


def reason_to_skip(path: Path) -> str | None:
    """Return why a file found in a folder is not taken as a video; None if it is one.

    Files with the suffix of a video are taken as they are, so that damage is reported.
    """
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES - _SOURCE_CODE:
        return None
    try:
        status = path.stat()
        text = _kind_of_text(path)
        if text is not None or suffix in _SOURCE_CODE:
            return text
        return _reason(path, status.st_mtime_ns, status.st_size)
    except OSError as error:
        return error.strerror or str(error)


def is_picture_file(path: Path) -> bool:
    """Whether a file is named as a still image, and is no animated WebP."""
    suffix = path.suffix.lower()
    return suffix in PICTURE_SUFFIXES and not (suffix == ".webp" and is_animated_webp(path))


def is_animated_webp(path: Path) -> bool:
    """Whether the animation flag of the extended header is set (WebP container, VP8X)."""
    try:
        with path.open("rb") as file:
            head = file.read(21)
    except OSError:
        return False
    return head[12:16] == b"VP8X" and bool(head[20] & 2)


def _kind_of_text(path: Path) -> str | None:
    """Whether a file is text, from its beginning: a playlist, or any other text."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head or head.startswith(b"YUV4MPEG2"):
        return None
    if begins_a_playlist(head):
        return "a playlist"
    if head.startswith(_TEXT_MARKS):
        return "text"
    if b"\0" in head:
        return None
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # A character may be cut off at the end of what was read.
        return "text" if error.start >= _HEAD_BYTES - 4 else None
    return "text"


@lru_cache(maxsize=4096)
def _reason(path: Path, _modified: int, size: int) -> str | None:
    """Open a file and decode a frame; cached until the file changes."""
    if not size:
        return "empty"
    try:
        options = {"format_whitelist": demuxers_except(_READ_NO_MORE)}
        with open_input(f"file:{path}", options=options) as container:
            if container.format.name.endswith(_STILLS):
                return "a still image of a type that is not read from folders"
            streams = container.streams.video
            if not streams or streams[0].codec_context is None:
                kinds = sorted({stream.type for stream in container.streams})
                return f"no video track (only {', '.join(kinds)})" if kinds else _NO_MEDIA
            if all(is_cover(stream) for stream in streams):
                return "no video track (only audio and a cover)"
            return None if next(container.decode(video=0), None) else _NO_MEDIA
    except Exception:  # whatever FFmpeg and PyAV make of any file
        return _NO_MEDIA
