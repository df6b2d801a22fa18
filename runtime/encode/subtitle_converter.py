"""Convert text subtitles to a format that the output can hold."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

from vsrc.runtime.encode.copied_track import is_webvtt
from vsrc.runtime.encode.muxing_trial import can_hold_encoded
from vsrc.runtime.pyav_versions import time_base

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.subtitles.codeccontext import SubtitleCodecContext

_ENCODERS = ("subrip", "mov_text", "webvtt")
"""Encoders in order of preference; each is the one text format of some container."""

_SAMPLE = b"0,0,Default,,0,0,0,,text"


class ConvertedSubtitles:
    """A track of text subtitles that are decoded, and encoded in another format.

    Args:
        target: Stream of the output.
        decoder: Decoder of the source's stream.
    """

    def __init__(self, target: Stream, decoder: SubtitleCodecContext) -> None:
        self._target, self._decoder = target, decoder

    def packets(self, packet: Packet[Stream]) -> list[Packet[Stream]]:
        """Convert a packet; one without text gives none.

        Raises:
            av.FFmpegError: The packet is damaged.
        """
        subtitle = self._decoder.decode2(packet)
        if subtitle is None or not len(subtitle):
            return []
        encoder = cast("SubtitleCodecContext", self._target.codec_context)
        converted = cast("Packet[Stream]", encoder.encode_subtitle(subtitle))
        converted.pts, converted.dts = packet.pts, packet.dts
        converted.duration = packet.duration
        converted.time_base, converted.stream = time_base(packet), self._target
        return [converted]

    def rest(self) -> list[Packet[Stream]]:
        """Return no packets: none is held back."""
        return []


def open_converter(
    target: OutputContainer, stream: Stream
) -> tuple[ConvertedSubtitles, Stream, str] | None:
    """Add a stream for converted subtitles, in the first format that the container supports.

    Args:
        target: Container to add it to.
        stream: Subtitle track of the source.

    Returns:
        Converter, its stream, and FFmpeg's name of its format; None for subtitles that are images,
        or if the container supports no text.
    """
    decoder = _open_decoder(stream)
    if decoder is None:
        return None
    for encoder in _ENCODERS:
        if _is_supported(target.format.name, encoder, decoder):
            copy = _add_stream(target, encoder, decoder)
            copy.time_base = time_base(stream)
            return ConvertedSubtitles(copy, decoder), copy, encoder
    return None


def _open_decoder(stream: Stream) -> SubtitleCodecContext | None:
    import av

    # Contrary to PyAV's stubs, a stream without a decoder has no context.
    context: Any = stream.codec_context
    if is_webvtt(stream):
        context = av.CodecContext.create("webvtt", "r")
    elif context is None or not context.codec.text_sub:
        return None
    try:
        context.open(strict=False)
    except av.FFmpegError:
        return None
    return cast("SubtitleCodecContext", context)


def _is_supported(muxer: str, encoder: str, decoder: SubtitleCodecContext) -> bool:
    def fill(target: OutputContainer) -> list[Packet[Stream]]:
        from av.subtitles.subtitle import SubtitleSet

        stream = _add_stream(target, encoder, decoder)
        sample = SubtitleSet.create(_SAMPLE, start=0, end=1000)
        context = cast("SubtitleCodecContext", stream.codec_context)
        packet = cast("Packet[Stream]", context.encode_subtitle(sample))
        packet.duration, packet.stream = 1000, stream
        packet.time_base = time_base(stream)
        return [packet]

    return can_hold_encoded(muxer, "subtitle", fill)


def _add_stream(target: OutputContainer, encoder: str, decoder: SubtitleCodecContext) -> Stream:
    stream: Stream = target.add_stream(encoder)
    context = cast("SubtitleCodecContext", stream.codec_context)
    context.subtitle_header = decoder.subtitle_header
    context.time_base = stream.time_base = Fraction(1, 1000)
    return stream
