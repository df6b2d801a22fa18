"""Encode an audio track that the output cannot hold as it is, or that the user wants encoded.

    packet -> decoder -> stamps -> silence where samples are missing -> rate, format -> encoder

Time stamps are those of the source: samples that are missing are replaced by silence and those
that overlap are cut, so that a damaged or broken-up track does not move against the picture.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from vsrc.runtime.decode.probe import codec_name
from vsrc.runtime.decode.recordings import stream_with_codec
from vsrc.runtime.decode.track_samples import decode_audio
from vsrc.runtime.encode.audio_stamps import AudioStamps
from vsrc.runtime.encode.copied_track import default_layout
from vsrc.runtime.encode.muxers import WITHOUT_STAMPS
from vsrc.runtime.encode.muxing_trial import can_hold_encoded
from vsrc.runtime.pyav_versions import time_base

if TYPE_CHECKING:
    import av
    from av.audio.frame import AudioFrame
    from av.audio.layout import AudioLayout
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.filter import Graph
    from av.packet import Packet
    from av.stream import Stream

_PCM = ("pcm_s24le", "pcm_s16le")
_LOSSLESS = ("flac", *_PCM)
_LOSSY = ("aac", "libopus", "libmp3lame", "ac3", "mp2")
"""Encoders in order of preference."""

_MOSTLY_LOSSLESS = frozenset(("wavpack",))
"""Codecs with a lossy mode that is hardly used; of DTS, in contrast, it is the usual one."""

_LOSSY_IN = {"avi": ("libmp3lame", "ac3", "mp2"), "mxf": ("pcm_s16le",)}
"""The lossy ones of a container that differs; AVI has no time stamps, which AAC needs."""

_ENCODERS_IN = {"flv": ("aac", "libmp3lame"), "wtv": ("ac3", "mp2")}
"""All of a container that are played, whatever FFmpeg writes; see `can_hold`."""

_RATE_IN = {"mxf": 48_000}
"""The only sample rate of a container, Hz."""

_BITS_PER_SAMPLE = 4
_MOST_BITS_PER_SECOND = 96_000
"""Bit rate of one channel: transparent for AAC and Opus at the usual rates."""

_DEFAULT_RATE = 48_000

_LONGEST_SILENCE_SECONDS = 60
"""Longest gap that is filled with silence; behind a longer one the time stamps jump."""


@dataclass(frozen=True)
class AudioFormat:
    """Parameters of an audio encoder.

    Attributes:
        encoder: FFmpeg's name of the encoder.
        rate: Sample rate, Hz.
        layout: FFmpeg's name of the channel layout.
        bit_rate: Bits per second; 0 for a lossless encoder.
        sample_format: FFmpeg's name of the sample format; empty for the encoder's default.
        first: Time stamp of the first sample, samples of the result, so that what the encoder puts
            before it is not heard; None for that of the source.
    """

    encoder: str
    rate: int
    layout: str
    bit_rate: int
    sample_format: str = ""
    first: int | None = None

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec."""
        import av

        return av.Codec(self.encoder, "w").canonical_name

    def add_stream(self, target: OutputContainer) -> AudioStream:
        """Add a stream with such an encoder to an output.

        Raises:
            ValueError: The container does not support the codec.
        """
        stream = cast("AudioStream", target.add_stream(self.encoder, rate=self.rate))
        context = stream.codec_context
        context.layout = self.layout  # PyAV converts the name
        if self.bit_rate:
            context.bit_rate = self.bit_rate
        if self.sample_format:
            context.format = self.sample_format
        return stream


def choose_format(
    muxer: str, stream: Stream, packets: Sequence[Packet[Stream]]
) -> AudioFormat | None:
    """Choose an encoder for a track: the first that the container supports.

    Args:
        muxer: FFmpeg's name of the container.
        stream: Audio track.
        packets: Some of its packets; may be empty.

    Returns:
        None if the track cannot be decoded, or the container supports no encoder.
    """
    frame = next(iter(decode_audio(packets)), None)
    context = cast("AudioStream", stream).codec_context
    if frame is None and (packets or not _opens(context)):
        return None
    rate = _RATE_IN.get(muxer) or (frame or context).sample_rate or _DEFAULT_RATE
    sample_bytes = getattr((frame or context).format, "bytes", None)
    if sample_bytes is None:  # a damaged header: FFmpeg knows no format
        return None
    is_deep = sample_bytes > 2 and _is_lossless(stream)
    for name in _layouts((frame or context).layout):
        for encoder in _encoders(muxer, stream):
            chosen = _format(encoder, rate, name, is_deep=is_deep)
            delay = _find_delay(muxer, chosen) if chosen else None
            if chosen and delay is not None:
                return replace(chosen, first=delay) if muxer in WITHOUT_STAMPS else chosen
    return None


def _layouts(layout: AudioLayout) -> list[str]:
    """Names of the layouts to try, best first; no encoder supports an unknown one."""
    # AAC has no code for loudspeakers at the sides, and players do not read what it writes instead.
    names = (layout.name.replace("(side)", ""), layout.name, default_layout(layout.nb_channels))
    return [name for name in dict.fromkeys((*names, "stereo", "mono")) if "channels" not in name]


class EncodedTrack:
    """A track that is decoded and encoded.

    Args:
        target: Stream of the output.
        chosen: Parameters of its encoder.
    """

    def __init__(self, target: AudioStream, chosen: AudioFormat) -> None:
        self._target, self._chosen = target, chosen
        self._decoder: av.AudioCodecContext | None = None
        self._graph: Graph | None = None
        self._graph_of: tuple[object, ...] = ()
        self._stamps = AudioStamps()
        self._end_seconds = 0.0

    def packets(self, packet: Packet[Stream]) -> list[Packet[Stream]]:
        """Decode a packet of the source; return the packets that the encoder has finished.

        Raises:
            av.FFmpegError: The packet is damaged.
        """
        import av

        decoder = cast("AudioStream", stream_with_codec(packet)).codec_context
        if decoder is None:  # contrary to PyAV's stubs, for a codec that FFmpeg does not know
            raise av.DecoderNotFoundError(errno.EINVAL, "the codec is unknown")
        frames = [] if self._decoder is decoder else self._drained_decoder()
        self._decoder = decoder
        frames += self._stamps.add(decoder.decode(packet))
        return [new for frame in frames for new in self._encoded(frame)]

    def rest(self) -> list[Packet[Stream]]:
        """Return the packets that decoder and encoder still hold."""
        frames = [*self._drained_decoder(), *self._stamps.rest()]
        packets = [new for frame in frames for new in self._encoded(frame)]
        packets += self._drained()
        return packets + self._target.encode(None)

    def _drained_decoder(self) -> list[AudioFrame]:
        import av

        if self._decoder is not None:
            with suppress(av.FFmpegError):
                return self._stamps.add(self._decoder.decode(None))
        return []

    def _encoded(self, frame: AudioFrame) -> Iterator[Packet[Stream]]:
        key = (frame.format.name, frame.layout.name, frame.sample_rate)
        begin = (frame.pts or 0) / frame.sample_rate
        if key != self._graph_of or begin - self._end_seconds > _LONGEST_SILENCE_SECONDS:
            yield from self._drained()
            self._graph, self._graph_of = _make_graph(frame, self._chosen, self._target), key
            self._chosen = replace(self._chosen, first=None)
        self._end_seconds = begin + frame.samples / frame.sample_rate
        assert self._graph is not None
        self._graph.push(frame)
        yield from self._pulled(self._graph)

    def _drained(self) -> Iterator[Packet[Stream]]:
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pulled(self._graph)
            self._graph = None

    def _pulled(self, graph: Graph) -> Iterator[Packet[Stream]]:
        while True:
            try:
                frame = cast("AudioFrame", graph.pull())
            except (BlockingIOError, EOFError):
                return
            yield from self._target.encode(frame)


def _make_graph(frame: AudioFrame, chosen: AudioFormat, target: AudioStream) -> Graph:
    from av.filter import Graph

    first = "" if chosen.first is None else f":first_pts={chosen.first}"
    graph = Graph()
    source = graph.add_abuffer(
        sample_rate=frame.sample_rate,
        format=frame.format.name,
        layout=frame.layout.name,
        time_base=time_base(cast("Any", frame)),
    )
    samples = target.codec_context.format.name
    graph.link_nodes(
        source,
        # The stamps have no jitter: each difference is audio that is missing or overlaps.
        graph.add("aresample", f"{chosen.rate}:async=1:min_hard_comp=0.01{first}"),
        graph.add(
            "aformat",
            f"sample_fmts={samples}:sample_rates={chosen.rate}:channel_layouts={chosen.layout}",
        ),
        graph.add("abuffersink"),
    ).configure()
    return graph


def _encoders(muxer: str, stream: Stream) -> tuple[str, ...]:
    if muxer in _ENCODERS_IN:
        return _ENCODERS_IN[muxer]
    lossy = _LOSSY_IN.get(muxer, _LOSSY)
    if not _is_lossless(stream):
        return lossy
    return (*(_PCM if muxer in WITHOUT_STAMPS else _LOSSLESS), *lossy)


def _is_lossless(stream: Stream) -> bool:
    import av

    codec = av.Codec(codec_name(stream), "r")
    return codec.lossless and (not codec.lossy or codec.name in _MOSTLY_LOSSLESS)


def _format(encoder: str, rate: int, layout: str, *, is_deep: bool) -> AudioFormat | None:
    import av

    try:
        codec = av.Codec(encoder, "w")
    except ValueError:
        return None
    if codec.audio_rates and rate not in codec.audio_rates:
        above = [offered for offered in codec.audio_rates if offered > rate]
        rate = min(above, default=max(codec.audio_rates))
    if encoder == "libopus":
        rate = _DEFAULT_RATE  # at which its decoders play it
    if encoder in _LOSSLESS:
        if encoder == ("pcm_s16le" if is_deep else "pcm_s24le"):
            return None  # bits would be lost, or stored in vain
        samples = {"flac": "s32" if is_deep else "s16"}.get(encoder, "")
        return AudioFormat(encoder, rate, layout, 0, samples)
    channels = av.AudioLayout(layout).nb_channels
    bits = channels * min(_MOST_BITS_PER_SECOND, _BITS_PER_SAMPLE * rate)
    return AudioFormat(encoder, rate, layout, bits)


def _find_delay(muxer: str, chosen: AudioFormat) -> int | None:
    """Return how many samples the encoder puts before the first one.

    Returns:
        None if it does not open with these parameters, or the container does not hold its packets.
    """
    import av

    delays: list[int] = []

    def fill(target: OutputContainer) -> list[Packet[Stream]]:
        stream = chosen.add_stream(target)
        context = stream.codec_context
        context.open()
        layout = av.AudioLayout(chosen.layout)
        frame = av.AudioFrame(context.format.name, layout.name, chosen.rate // 4)
        frame.sample_rate, frame.pts = chosen.rate, 0
        # PyAV lists nine planes for eight channels, the last of which does not exist.
        for plane in frame.planes[: layout.nb_channels]:
            plane.update(bytes(plane.buffer_size))
        packets = [*stream.encode(frame), *stream.encode(None)]
        delays.extend(round(-(one.pts or 0) * time_base(one) * chosen.rate) for one in packets[:1])
        return packets

    return max(0, *delays, 0) if can_hold_encoded(muxer, "audio", fill) else None


def _opens(context: Any) -> bool:  # noqa: ANN401
    """Whether the decoder of a track opens; for a track of which no packet is at hand."""
    import av

    if context is None:  # FFmpeg does not know the codec
        return False
    try:
        context.open(strict=False)
    except (av.FFmpegError, ValueError):
        return False
    return bool(context.sample_rate)
