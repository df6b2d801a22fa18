"""Read the recordings of a file that goes on with other codecs as one file."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from vsrc.runtime.decode.media_file import (
    WITH_PARTS,
    open_part,
    path_of,
    select_copied_tracks,
    video_stream,
)
from vsrc.runtime.decode.probe import codec_name
from vsrc.runtime.decode.transport.program_parts import find_parts
from vsrc.runtime.errors import MediaError
from vsrc.runtime.pyav_versions import open_output

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

    Raises:
        MediaError: What comes from a pipe goes on with another codec.
    """
    is_pipe = path_of(container) is None and container.format.name == "mpegts"
    tag = codec_tag(video) if is_pipe else ""
    for packet in container.demux(video, *tracks):
        if is_pipe and packet.stream is video and codec_tag(video) != tag:
            raise MediaError(
                "the stream changes to another codec, which can only be followed in a file; "
                "save it, and name the file"
            )
        yield packet
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


def codec_tag(stream: Stream) -> str:
    """Return FFmpeg's tag of the codec that a stream has now; PyAV knows the first one only."""
    from av.bitstream import BitStreamFilterContext

    with open_output(io.BytesIO(), "mpegts") as scratch:
        copy: Any = scratch.add_stream_from_template(stream, opaque=True)
        BitStreamFilterContext("null", in_stream=stream, out_stream=copy)
        return str(copy.codec_context.codec_tag)


@dataclass(frozen=True)
class LaterTracks:
    """The tracks of the recordings after the first.

    Attributes:
        codecs: Stream index of a track of the first one -> other codecs that it has later.
        added: Descriptions of the tracks that the first one lacks, such as `audio (aac)`.
    """

    codecs: Mapping[int, Sequence[str]]
    added: Sequence[str]


def find_later_tracks(container: InputContainer) -> LaterTracks:
    """Open the recordings after the first, and return what tracks they have."""
    codecs: dict[int, dict[str, None]] = {}
    added: dict[str, None] = {}
    for later in _iter_later(container):
        same = _same_tracks(later, container)
        for index, stream in same.items():
            name = codec_name(later.streams[index])
            if name != codec_name(stream):
                codecs.setdefault(stream.index, {})[name] = None
        tracks = (one for one in select_copied_tracks(later) if one.index not in same)
        added |= dict.fromkeys(f"{one.type} ({codec_name(one)})" for one in tracks)
    return LaterTracks({index: list(names) for index, names in codecs.items()}, list(added))


def _iter_later(container: InputContainer) -> Iterator[InputContainer]:
    """Open the recordings after the first, one after the other."""
    path = path_of(container)
    if path is None or container.format.name not in WITH_PARTS:
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
