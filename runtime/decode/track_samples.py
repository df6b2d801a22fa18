"""The first packets of the tracks beside the video, read through a second handle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, cast

from vsrc.runtime.decode.media_file import (
    FAR_BYTES,
    has_rate,
    open_again,
    path_of,
    select_copied_tracks,
)
from vsrc.runtime.decode.stamps.continuous_clock import on_one_clock, open_clock

if TYPE_CHECKING:
    from av.audio.codeccontext import AudioCodecContext
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

_PACKETS = 16
_MOST_READ = 600
"""Packets kept of each track, and packets of all tracks that are read to find them; more where only
they say what the audio is."""


@contextmanager
def open_track_samples(source: InputContainer) -> Iterator[dict[int, list[Packet[Stream]]]]:
    """Read some packets of each track that is copied, from the beginning of the file.

    They can be decoded within the block. The position in `source` does not change.

    Yields:
        Stream index -> packets; empty for tracks that begin late, and for a pipe, which can be read
        only once.
    """
    import av

    samples: dict[int, list[Packet[Stream]]] = {}
    wanted = [stream.index for stream in select_copied_tracks(source)]
    if not wanted or path_of(source) is None:
        yield samples
        return
    with open_again(source) as again:
        unknown = {stream.index for stream in again.streams.audio if not has_rate(stream)}
        read_bytes = 0
        with suppress(av.FFmpegError):
            for count, packet in enumerate(_on_one_clock(again)):
                read_bytes += packet.size
                if packet.size and packet.stream.index in wanted:
                    samples.setdefault(packet.stream.index, []).append(packet)
                    if len(samples[packet.stream.index]) == _PACKETS:
                        wanted.remove(packet.stream.index)
                is_far = count >= _MOST_READ and unknown.isdisjoint(wanted)
                if not wanted or is_far or read_bytes > FAR_BYTES:
                    break
        yield samples


def _on_one_clock(container: InputContainer) -> Iterator[Packet[Stream]]:
    """Yield the packets of a file; where its clock restarts or wraps, their stamps run on."""
    clock = open_clock(container.format.name)
    return (packet for packet, _ in on_one_clock(container.demux(), clock))


def decode_audio(packets: Sequence[Packet[Stream]]) -> list[AudioFrame]:
    """Decode packets of one audio track from the start of it; damaged ones give no frames."""
    import av

    if not packets:
        return []
    context: AudioCodecContext | None = cast("AudioStream", packets[0].stream).codec_context
    frames: list[AudioFrame] = []
    if context is None:  # damage made it a codec that FFmpeg does not know
        return frames
    for packet in (*packets, None):
        with suppress(av.FFmpegError, ValueError):
            frames += context.decode(packet)
    with suppress(av.FFmpegError, ValueError):
        context.flush_buffers()
    return frames
