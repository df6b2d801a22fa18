"""Add a track to an output with the parameters of the source, whatever PyAV thinks of its codec."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from vsrc.runtime.decode.probe import codec_name
from vsrc.runtime.decode.recordings import stream_with_codec
from vsrc.runtime.encode.avi_audio import open_avi_template, set_avi_rate
from vsrc.runtime.encode.muxers import MOV_FAMILY
from vsrc.runtime.pyav_versions import open_output, time_base

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream

_PLACEHOLDERS = {
    "audio": ("aac", "libopus", "ac3", "mp2", "flac", "pcm_s16le"),
    "subtitle": ("subrip", "mov_text", "webvtt", "dvbsub"),
}
"""Encoders, of which every container supports one: a stream is created for it and redefined."""

_LAYOUTS = {
    1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1",
}  # fmt: skip

_NEW_PARAMETERS: Final = "new_extradata"
"""Side data of packets with which a codec's parameters begin anew. FFmpeg's Matroska muxer would
write those of AAC into the header, over what follows there; broadcasts in FLV repeat them."""

_WEBVTT_HEADER = b"WEBVTT"


class CopiedTrack:
    """A track whose packets are copied; those of a later recording with another codec are not.

    Args:
        target: Stream of the output.
    """

    def __init__(self, target: Stream) -> None:
        self._target = target
        is_matroska = target.container.format.name in ("matroska", "webm")
        self._keeps_parameters = is_matroska and codec_name(target) == "aac"
        self._needs_duration = (
            target.type == "subtitle" and target.container.format.name in MOV_FAMILY
        )

    def packets(self, packet: Packet[Stream]) -> list[Packet[Stream]]:
        """Return the packet as one of the output."""
        own = stream_with_codec(packet)
        if own is not packet.stream and codec_name(own) != codec_name(packet.stream):
            return []
        if self._keeps_parameters and packet.has_sidedata(_NEW_PARAMETERS):
            packet = _without_new_parameters(packet)
        if self._needs_duration and not packet.duration:
            # The last one would end as it begins, and not be read.
            packet.duration = max(1, round(1 / time_base(packet)))
        packet.stream = self._target
        return [packet]

    def rest(self) -> list[Packet[Stream]]:
        """Return no packets: none is held back."""
        return []


def _without_new_parameters(packet: Packet[Stream]) -> Packet[Stream]:
    import av

    copy: Packet[Stream] = av.Packet(bytes(packet))
    copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
    copy.time_base, copy.is_keyframe = packet.time_base, packet.is_keyframe
    for data in packet.iter_sidedata():
        if data.data_type != _NEW_PARAMETERS:
            copy.set_sidedata(data)
    return copy


def add_copied_stream(
    target: OutputContainer, stream: Stream, packets: Sequence[Packet[Stream]] = ()
) -> Stream:
    """Add a stream with the codec, the extradata and the time base of another.

    PyAV refuses codecs that FFmpeg's muxers store under the looser rules that ffmpeg applies (in
    Matroska all that WAVE and AVI have a number for), and subtitles without a decoder. So a stream
    of another codec is created, and its parameters are replaced with the help of a bitstream
    filter. Whether the muxer supports them shows when it writes the header.

    Args:
        target: Container to add it to.
        stream: Track of the source.
        packets: Some of its packets; AVI needs them for the parameters of audio.

    Raises:
        ValueError: The container holds no tracks of this type.
    """
    if stream.type == "audio" and target.format.name == "avi" and packets:
        with open_avi_template(stream, packets) as template:
            copy = _add_like(target, template)
        set_avi_rate(copy, stream, packets)
    else:
        copy = _add_like(target, stream)
    if stream.type == "audio":
        context: Any = copy.codec_context
        if "channels" in context.layout.name:  # AVI has no layouts, and MP4 requires one
            context.layout = default_layout(context.layout.nb_channels)
    return copy


def _add_like(target: OutputContainer, stream: Stream) -> Stream:
    try:
        return target.add_stream_from_template(stream, opaque=True)
    except ValueError:
        copy = _add_placeholder(target, stream.type)
        _set_parameters(copy, stream)
        return copy


def default_layout(channels: int) -> str:
    """Return FFmpeg's name of the usual layout of so many channels."""
    return _LAYOUTS.get(channels, f"{channels} channels")


def is_webvtt(stream: Stream) -> bool:
    """Whether a subtitle track is WebVTT that FFmpeg does not recognise (S_TEXT/WEBVTT)."""
    # Contrary to PyAV's stubs, a stream without a decoder has no context.
    context: Any = stream.codec_context
    if context is not None or stream.type != "subtitle":
        return False
    with open_output(io.BytesIO(), "matroska") as scratch:
        copy = _add_placeholder(scratch, "subtitle")
        _filter_parameters(copy, stream)
        return bytes(copy.codec_context.extradata or b"").startswith(_WEBVTT_HEADER)


def _set_parameters(copy: Stream, stream: Stream) -> None:
    context: Any = copy.codec_context
    if is_webvtt(stream):
        with open_output(io.BytesIO(), "webm") as scratch:
            _filter_parameters(copy, scratch.add_stream("webvtt"))
        context.extradata = None
    else:
        _filter_parameters(copy, stream)
    context.codec_tag = "\0\0\0\0"  # the muxer has its own
    copy.time_base = time_base(stream)


def _filter_parameters(copy: Stream, stream: Stream) -> None:
    """Copy the parameters of `stream` to `copy` by a bitstream filter that changes nothing."""
    from av.bitstream import BitStreamFilterContext

    BitStreamFilterContext("null", in_stream=stream, out_stream=copy)


def _add_placeholder(target: OutputContainer, kind: str) -> Stream:
    """Add a stream that is not opened, of any codec of this type."""
    for codec in _PLACEHOLDERS.get(kind, ()):
        with open_output(io.BytesIO(), "mpegts") as scratch:  # it accepts all codecs
            try:
                template: Stream = scratch.add_stream(codec)
                return target.add_stream_from_template(template, opaque=True)
            except ValueError:
                continue
    raise ValueError(f"{target.format.name} holds no {kind} tracks")
