"""Open media files, find the video to upscale, its length and the tracks to copy."""

from __future__ import annotations

import re
import shlex
import sys
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from vsrc.runtime.decode.covers import is_cover
from vsrc.runtime.decode.detection import is_animated_webp
from vsrc.runtime.decode.iso_boxes import end_of_fragments, lacks_index
from vsrc.runtime.decode.playlists import check_playlist
from vsrc.runtime.decode.probe import codec_name
from vsrc.runtime.decode.sources import PIPE, describe_refused_url
from vsrc.runtime.decode.transport.byte_source import ByteSource, FileBytes, KeptBytes
from vsrc.runtime.decode.transport.program_parts import Part, find_parts
from vsrc.runtime.errors import MediaError
from vsrc.runtime.media_access import is_url, media_access, restored_url
from vsrc.runtime.pyav_versions import open_input, time_base
from vsrc.runtime.text.missing_path import describe_missing

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.container.core import Container
    from av.stream import Stream

_WITH_HEADER = ("asf", "avi", "flv", "matroska", "mov", "mxf")
"""Beginnings of FFmpeg's names of containers whose header says how long the file is. For others
FFmpeg estimates it, from the last time stamps or the size of what is there."""

WITH_PARTS = frozenset(("mpeg", "mpegts"))
"""Containers of which files that were joined byte by byte are one."""

FAR_BYTES = 64 << 20
_FAR = {"probesize": str(FAR_BYTES), "analyzeduration": str(120_000_000)}
"""Most bytes and microseconds that FFmpeg reads to learn what the tracks are."""

_PART = re.compile(r"subfile,,start,(\d+),end,\d+,,:file:(.+)", re.DOTALL)

_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")


def open_container(path: Path) -> InputContainer:
    """Open a media file, or what is allowed beside those; see `vsrc.runtime.media_access`.

    Of a transport or program stream that goes on with other codecs only the first recording is
    opened; see `iter_packets` of `vsrc.runtime.decode.recordings`.

    Raises:
        MediaError: The file does not exist, FFmpeg cannot read it, or it is not allowed.
    """
    if str(path) == PIPE:
        return _open_stdin()
    if is_url(path):
        return _open_url(restored_url(path))
    if not path.exists():
        raise MediaError(describe_missing(path))
    if not path.is_file():
        raise MediaError(f"{path} is not a video file, but a folder or a device; expected a file")
    check_playlist(path)
    container = _open_file(path)
    if container.format.name == "tty":  # FFmpeg would decode any text file as ANSI art
        container.close()
        raise MediaError(f"{path} is a text file, not a video")
    if container.format.name == "webp_pipe" and is_animated_webp(path):
        container.close()
        raise MediaError(describe_animated_webp(path, "which this FFmpeg cannot decode"))
    return container


def _open_file(path: Path) -> InputContainer:
    """Open a file, or the first recording of one that goes on with other codecs."""
    import av

    try:
        # With "file:" a colon in a name is not parsed as a protocol.
        container = _open_name(f"file:{path}")
    except (av.FFmpegError, OSError, ValueError) as error:
        if stop := end_of_fragments(path):  # FFmpeg reads none if the index of one is cut off
            return open_part(path, Part(0, stop))
        reason = getattr(error, "strerror", None) or error
        raise MediaError(f"{path} {_describe_unreadable(path, f'{reason}')}") from error
    parts = find_parts(path) if container.format.name in WITH_PARTS else ()
    if len(parts) < 2:
        return container
    container.close()
    return open_part(path, parts[0])


def _describe_unreadable(path: Path, reason: str) -> str:
    """Say why FFmpeg cannot open a file."""
    if not path.stat().st_size:
        return "is empty: nothing was written to it; name another file"
    if lacks_index(path):
        return (
            "has no index (moov), which is written at the end of a recording: it was cut off, or "
            "is still being written or copied; wait for the end or copy it again, or let a tool "
            "such as untrunc rebuild the index from a whole file of the same camera"
        )
    return f"is not a video that FFmpeg can read, or its beginning is damaged ({reason})"


def open_part(path: Path, part: Part) -> InputContainer:
    """Open a part of a file as if it were a file.

    Raises:
        MediaError: FFmpeg cannot read it.
    """
    import av

    try:
        return _open_name(f"subfile,,start,{part.start},end,{part.stop},,:file:{path}")
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MediaError(
            f"{path} changes to other codecs after byte {part.start}, and FFmpeg cannot read "
            f"that ({reason})"
        ) from error


def open_again(container: InputContainer) -> InputContainer:
    """Open another handle of a file, or part of a file, that `open_container` opened."""
    return _open_name(container.name)


def path_of(container: Container) -> Path | None:
    """Return the path of the file that a container was opened from; None for pipes and URLs."""
    if container.file is not None:
        return None
    if match := _PART.fullmatch(container.name):
        return Path(match[2])
    name = container.name
    return Path(name.removeprefix("file:")) if name.startswith("file:") else None


def bytes_of(container: Container) -> ByteSource | None:
    """Return what a container is read from; None for URLs."""
    if match := _PART.fullmatch(container.name):
        return FileBytes(Path(match[2]), int(match[1]))
    if path := path_of(container):
        return FileBytes(path)
    kept = getattr(container.file, "file", None)
    return kept if isinstance(kept, KeptBytes) else None


def _open_name(name: str) -> InputContainer:
    """Open a file, or a part of it, by the name that FFmpeg has for it.

    Where audio begins later than FFmpeg looks for its sample rate, it is let look farther.
    """
    options = {"protocol_whitelist": "file,subfile"} if _PART.fullmatch(name) else {}
    container = open_input(name, options=options)
    if container.format.name not in WITH_PARTS or all(map(has_rate, container.streams.audio)):
        return container
    container.close()
    return open_input(name, options=options | _FAR)


def has_rate(stream: Stream) -> bool:
    """Whether the parameters of an audio track are known; without a decoder nothing can be."""
    context: Any = stream.codec_context  # None without a decoder
    return context is None or bool(context.sample_rate)


def describe_animated_webp(path: Path, reason: str) -> str:
    """Say why an animated WebP is not read, and how to make images of it."""
    frames = shlex.quote(str(path.with_name(f"{path.stem}-%04d.png")))
    return (
        f"{path} is an animated WebP, {reason}; make images of it, with ImageMagick: magick "
        f"{shlex.quote(str(path))} -coalesce {frames}"
    )


def _open_url(url: str) -> InputContainer:
    import av

    if not media_access().network:
        raise MediaError(describe_refused_url(url))
    try:
        return open_input(url)
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MediaError(f"{url} is not a video that FFmpeg can read ({reason})") from error


def _open_stdin() -> InputContainer:
    import av

    if sys.stdin is None:  # the process was started without it
        raise MediaError(
            "stdin is closed, so no video can be read from it; name a file, or pipe one"
        )
    try:
        kept = KeptBytes(sys.stdin.buffer)
        container = open_input(cast("IO[bytes]", kept))
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MediaError(describe_unpiped(f"{reason}")) from error
    if container.format.name not in WITH_PARTS:
        kept.keep_nothing()
    return container


def describe_unpiped(reason: str) -> str:
    """Say that what comes from stdin cannot be read without seeking, and what can."""
    return (
        f"stdin is not a video that FFmpeg can read sequentially ({reason}); y4m, Matroska and "
        "MPEG-TS can be piped, and MP4 and MOV with the index first (ffmpeg -movflags faststart)"
    )


def video_stream(container: InputContainer, path: Path) -> av.VideoStream:
    """Return the video track; cover images do not count.

    Raises:
        MediaError: There is no video track, or no decoder for it.
    """
    from av.codec.context import Flags

    streams = [stream for stream in container.streams.video if not is_cover(stream)]
    if not streams:
        kinds = sorted({stream.type for stream in container.streams})
        raise MediaError(f"{path} has no video track (it has: {', '.join(kinds) or 'nothing'})")
    streams = [stream for stream in streams if codec_name(stream) != "unknown"]
    if not streams:
        raise MediaError(f"{path}: this build of FFmpeg has no decoder for its video track")
    best = container.streams.best("video")
    stream = next((stream for stream in streams if stream is best), streams[0])
    # Output frames with concealed damage: they keep the frame count and the time stamps.
    stream.codec_context.flags |= int(Flags.output_corrupt)
    return stream


def select_copied_tracks(container: InputContainer) -> list[Stream]:
    """Return the tracks that are copied: audio, subtitles, cover images."""
    return [
        stream
        for stream in container.streams
        if stream.type in ("audio", "subtitle") or is_cover(stream)
    ]


def find_start(source: InputContainer) -> Fraction:
    """Return the time at which the first track begins, seconds."""
    starts = [
        stream.start_time * time_base(stream)
        for stream in source.streams
        if stream.start_time is not None
    ]
    return min(starts, default=Fraction(0))


def header_end(container: InputContainer, video: Stream) -> Fraction | None:
    """Return the time at which the video ends, seconds; None where no header says so.

    The length of the file is that of its longest track, which may be one that is not read, such as
    telemetry. It is taken only where there is no such track.
    """
    if not container.format.name.startswith(_WITH_HEADER):
        return None
    if video.duration:
        return ((video.start_time or 0) + video.duration) * time_base(video)
    whole = Fraction(container.duration or 0, 1_000_000) or None
    tag = next((text for name, text in video.metadata.items() if name.upper() == "DURATION"), "")
    if match := _CLOCK.fullmatch(tag):
        hours, minutes, seconds = match.groups()
        tagged = int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
        return min(tagged, whole or tagged)
    unread = (
        stream.type in ("data", "video") and stream is not video and not is_cover(stream)
        for stream in container.streams
    )
    return None if any(unread) else whole
