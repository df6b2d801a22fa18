"""Read the recordings of a transport stream that goes on with other codecs as one file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from typing import TYPE_CHECKING, cast

from vsrc.runtime.decode.media_file import (
    open_part,
    path_of,
    select_copied_tracks,
    video_stream,
)
from vsrc.runtime.decode.probe import codec_name
from vsrc.runtime.decode.program_parts import find_parts
from vsrc.runtime.errors import MediaError

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream


def iter_packets(
    container: InputContainer, video: av.VideoStream, tracks: list[Stream]
) -> Iterator[Packet[Stream]]:
    """Yield the packets of some streams of a file, and those of the recordings after it.

    The packets of later recordings count as those of the same streams; see `stream_with_codec`.
    Packets without data end each recording.

    Args:
        container: File that `open_container` opened.
        video: Its video.
        tracks: Other tracks of it.
    """
    yield from container.demux(video, *tracks)
    for later in _iter_later(container):
        streams = _same_tracks(later, container)
        wanted = {index: stream for index, stream in streams.items() if stream in (video, *tracks)}
        if not wanted:
            continue
        for packet in later.demux([later.streams[index] for index in wanted]):
            packet.opaque = [packet.stream]  # PyAV forgets an object with the first of its packets
            packet.stream = wanted[packet.stream.index]
            yield packet


def stream_with_codec(packet: Packet[Stream]) -> Stream:
    """Return the stream whose decoder a packet needs: that of its own recording."""
    own = cast("list[Stream] | None", packet.opaque)
    return own[0] if own else packet.stream


def later_codecs(container: InputContainer) -> dict[int, list[str]]:
    """Return the codecs that tracks have in later recordings: stream index -> names."""
    codecs: dict[int, list[str]] = {}
    for later in _iter_later(container):
        for index, stream in _same_tracks(later, container).items():
            codecs.setdefault(stream.index, []).append(codec_name(later.streams[index]))
    return codecs


def _iter_later(container: InputContainer) -> Iterator[InputContainer]:
    """Open the recordings after the first, one after the other."""
    path = path_of(container)
    if path is None or container.format.name != "mpegts":
        return
    for part in find_parts(path)[1:]:
        with closing(open_part(path, part)) as later:
            yield later


def _same_tracks(later: InputContainer, container: InputContainer) -> dict[int, Stream]:
    """Match tracks of two recordings by type and order: index in the later -> first stream."""
    matches: dict[int, Stream] = {}
    for kind in ("audio", "subtitle"):
        before, after = (
            [stream for stream in select_copied_tracks(one) if stream.type == kind]
            for one in (container, later)
        )
        matches |= {new.index: old for old, new in zip(before, after, strict=False)}
    path = path_of(container)
    assert path is not None
    with suppress(MediaError):  # a recording of sound alone
        matches[video_stream(later, path).index] = video_stream(container, path)
    return matches
