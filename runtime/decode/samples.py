"""Look at frames across a whole file before the work: is any of it interlaced?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from vsrc.runtime.decode.media_file import open_container, video_stream
from vsrc.runtime.decode.probe import codec_name
from vsrc.runtime.decode.sources import is_stream

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

_PLACES = 8
"""Number of places, spread evenly over the length of the file."""

_FRAMES_EACH = 2
_PACKETS_EACH = 60
"""Most frames and packets at each place."""

_LEAST = 2
"""Interlaced frames that make a file interlaced; damage may mark a single one."""

_PROGRESSIVE_CODECS = frozenset(("av1", "gif", "png", "vp8", "vp9", "webp"))


def has_interlaced(path: Path) -> bool:
    """Whether frames at places across a file are interlaced; False for a pipe or unknown length.

    Raises:
        MediaError: The file cannot be read.
    """
    if is_stream(path):
        return False
    with closing(open_container(path)) as container:
        stream = video_stream(container, path)
        if codec_name(stream) in _PROGRESSIVE_CODECS or not container.duration:
            return False
        marked = sum(frame.interlaced_frame for frame in _iter_frames(container, stream))
        return marked >= _LEAST


def _iter_frames(container: InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
    start, length = container.start_time or 0, container.duration or 0
    for place in range(1, _PLACES + 1):
        yield from islice(
            _frames_at(container, stream, start + length * place // (_PLACES + 1)), _FRAMES_EACH
        )


def _frames_at(
    container: InputContainer, stream: av.VideoStream, microseconds: int
) -> Iterator[av.VideoFrame]:
    """Yield the frames from a place on; none where damage makes that impossible."""
    import av

    try:
        container.seek(microseconds)
        stream.codec_context.flush_buffers()
        for packet in islice(container.demux(stream), _PACKETS_EACH):
            yield from _decoded(stream, packet)
    except (av.FFmpegError, OSError):
        return


def _decoded(stream: av.VideoStream, packet: Packet[VideoStream]) -> list[av.VideoFrame]:
    import av

    try:
        return stream.decode(packet)
    except av.FFmpegError:
        return []
