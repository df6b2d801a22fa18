"""Try in memory what a container can hold, by muxing a little of it and reading that back.

FFmpeg's lists of supported codecs are not enough: MPEG-TS takes any track and stores those that it
does not know as private data, MOV takes some that no player can decode from it, and a damaged
header only shows when it is written.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, cast

from vsrc.runtime.decode.covers import is_cover
from vsrc.runtime.decode.probe import codec_name
from vsrc.runtime.decode.track_samples import decode_audio
from vsrc.runtime.encode.copied_track import CopiedTrack, add_copied_stream
from vsrc.runtime.encode.muxers import MOV_FAMILY, WITHOUT_STAMPS
from vsrc.runtime.processes.scheduling import keep_scheduling
from vsrc.runtime.pyav_versions import open_input, open_output, time_base

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream

_VIDEO_ENCODERS = ("mpeg4", "mpeg2video", "libvpx", "libvpx-vp9", "mjpeg")
"""Fast encoders, of which every container that vsrc writes supports one."""

_SAFE_CODECS = {"flv": frozenset(("aac", "mp3"))}
"""Audio codecs that may be tried. FFmpeg 8's FLV muxer writes some others as Enhanced RTMP, which
its older versions and most players do not know, and aborts the process for the rest."""

_UNPLAYABLE = frozenset((("avi", "flac"), ("wtv", "aac")))
"""Containers and audio codecs that FFmpeg writes, and its older versions do not play. AAC in WTV
lacks the headers by which any version finds its frames."""

_ONE_PCM = {"mp4": "pcm_s16le"}
"""Containers of whose uncompressed audio FFmpeg's older versions do not read the depth (ISO/IEC
23003-5), and what they take all of it for."""

_DEMUXERS = {"webm": "matroska", "dvd": "mpeg", "svcd": "mpeg", "vcd": "mpeg", "vob": "mpeg"}
"""FFmpeg's name of a muxer -> that of the demuxer, where they differ."""

_VIDEO_FIRST = frozenset(("mxf",))
"""Containers that hold no track without a video before it."""

_EXACT = Fraction(15, 1000)
"""Difference by which a track that begins at the same time counts as unchanged, seconds."""

_RATE = Fraction(25)

Fill = Callable[["OutputContainer"], list["Packet[Stream]"]]
"""Function that adds a stream to a container, and returns some packets of it."""


@dataclass(frozen=True)
class _Track:
    """A track that was read back.

    Attributes:
        kind: Type of the stream.
        codec: FFmpeg's name of the codec; "unknown" for private data.
        is_cover: Whether it is a cover image.
        is_playable: Whether it can be decoded, where it is audio.
        times: Times of its packets, seconds.
    """

    kind: str
    codec: str
    is_cover: bool
    is_playable: bool
    times: tuple[Fraction, ...]


def can_hold(muxer: str, stream: Stream, packets: Sequence[Packet[Stream]]) -> bool:
    """Whether a container can hold a track of a source as it is.

    Args:
        muxer: FFmpeg's name of the container.
        stream: Track.
        packets: Some of its packets, which are left unchanged; may be empty.
    """
    codec = codec_name(stream)
    if stream.type == "audio" and codec not in _SAFE_CODECS.get(muxer, (codec,)):
        return False
    is_other_pcm = codec.startswith("pcm_") and codec != _ONE_PCM.get(muxer, codec)
    if is_other_pcm or (muxer, codec) in _UNPLAYABLE:
        return False
    back: list[_Track] | None = None
    if stream.type == "subtitle" and not packets:
        # Subtitles often begin late, and are stored whatever they say.
        back = _copy_track(muxer, stream, [_stand_in()])
    if back is None:
        back = _copy_track(muxer, stream, packets)
        if back is not None and not packets and not is_cover(stream):
            return True  # the header is all that can be tried
    return any(
        _is_same(track, stream, packets)
        and (muxer not in WITHOUT_STAMPS or _keeps_times(track.times, packets))
        for track in back or ()
    )


def _copy_track(
    muxer: str, stream: Stream, packets: Sequence[Packet[Stream]]
) -> list[_Track] | None:
    """Mux some packets of a track; see `_mux`."""

    def fill(target: OutputContainer) -> list[Packet[Stream]]:
        copy = add_copied_stream(target, stream, packets)
        copy.disposition, track = stream.disposition, CopiedTrack(copy)
        # The result begins at 0, but the clock of a broadcast may be beyond what a container holds.
        begin = next(iter(_times(packets)), Fraction(0))
        copies = [_copy(packet, begin) for packet in packets]
        return [new for one in copies for new in track.packets(one)]

    return _mux(muxer, fill)


def _is_same(track: _Track, stream: Stream, packets: Sequence[Packet[Stream]]) -> bool:
    """Whether a track that was read back is what was written."""
    if is_cover(stream):
        return track.is_cover
    if track.kind != stream.type:
        return False
    if track.codec == "unknown" and codec_name(stream) != "unknown":
        return False  # private data
    if stream.type == "subtitle" and _is_bitmap(track.codec) != _is_bitmap(codec_name(stream)):
        return False  # program streams label all subtitles as those of a DVD
    return track.is_playable or stream.type != "audio" or not decode_audio(packets)


def _is_bitmap(codec: str) -> bool:
    """Whether subtitles of a codec are pictures."""
    import av

    try:
        return av.Codec(codec, "r").bitmap_sub
    except ValueError:
        return False


def _keeps_times(after: Sequence[Fraction], packets: Sequence[Packet[Stream]]) -> bool:
    """Whether the last packet that was read back is as far from the first as it was."""
    before = _times(packets)
    if len(before) < 2 or len(after) < 2:
        return True
    steps = [later - earlier for times in (before, after) for earlier, later in pairwise(times)]
    difference = (after[-1] - after[0]) - (before[-1] - before[0])
    # A container may cut uncompressed audio into other packets.
    return abs(difference) <= (_EXACT if len(after) == len(before) else max(map(abs, steps)))


def _times(packets: Sequence[Packet[Stream]]) -> list[Fraction]:
    """Return the times of those packets that have one, seconds."""
    stamps = [(one.pts if one.dts is None else one.dts, time_base(one)) for one in packets]
    return [stamp * unit for stamp, unit in stamps if stamp is not None]


def accepts_header(muxer: str, add_streams: Callable[[OutputContainer], object]) -> bool:
    """Whether a header can be written.

    Args:
        muxer: FFmpeg's name of the container.
        add_streams: Function that adds the streams to an output.
    """
    import av

    is_written = False
    try:
        with open_output(io.BytesIO(), muxer) as target:
            add_streams(target)
            with keep_scheduling():
                target.start_encoding()
            is_written = True
    except (av.FFmpegError, ValueError):
        pass  # without packets some muxers cannot write an end, which does not matter
    return is_written


def can_hold_encoded(muxer: str, kind: str, fill: Fill) -> bool:
    """Whether a container can hold an encoded track of a type, `audio` or `subtitle` (text)."""
    back = _mux(muxer, fill) or ()
    return any(
        track.kind == kind and track.codec != "unknown" and not _is_bitmap(track.codec)
        for track in back
    )


def find_lost_tags(muxer: str, tags: Mapping[str, str], options: Mapping[str, str]) -> list[str]:
    """Return the tags of a file that a container would drop.

    Args:
        muxer: FFmpeg's name of the container.
        tags: Name of each tag -> its value.
        options: Options of the muxer.
    """
    import av

    if not tags:
        return []
    for encoder in _VIDEO_ENCODERS:
        file = io.BytesIO()
        try:
            with open_output(file, muxer, options=dict(options)) as target:
                target.metadata.update(tags)
                _mux_picture(target, encoder)
            with _open_back(file, muxer) as back:
                kept = {name.lower() for name in back.metadata}
        except (av.FFmpegError, ValueError):
            continue
        return [name for name in tags if name.lower() not in kept]
    return []


def can_hold_timecode(muxer: str, timecode: str, rate: Fraction) -> bool:
    """Whether a container stores a timecode, `01:00:00;00`, of video at this rate, frames/s."""
    import av

    for encoder in _VIDEO_ENCODERS:
        file = io.BytesIO()
        try:
            with open_output(file, muxer) as target:
                _mux_picture(target, encoder, rate=rate, timecode=timecode)
            with _open_back(file, muxer) as back:
                tags = [*back.streams.video[0].metadata.items(), *back.metadata.items()]
        except (av.FFmpegError, ValueError):
            continue
        return any(name.lower() == "timecode" and text == timecode for name, text in tags)
    return False


def _mux_picture(
    target: OutputContainer, encoder: str, *, rate: Fraction = _RATE, timecode: str = ""
) -> None:
    """Mux a video of one grey frame."""
    import av

    stream = cast("av.VideoStream", target.add_stream(encoder, rate=rate))
    stream.width = stream.height = 64
    formats = stream.codec_context.codec.video_formats or [av.VideoFormat("yuv420p")]
    stream.pix_fmt = formats[0].name
    if timecode:
        stream.metadata["timecode"] = timecode
    frame = av.VideoFrame(64, 64, formats[0].name)
    frame.pts = 0
    target.mux(stream.encode(frame))
    target.mux(stream.encode(None))


def _mux(muxer: str, fill: Fill) -> list[_Track] | None:
    """Mux a track, and read back what was written.

    Returns:
        None if the muxer refuses the track, or all of its packets.
    """
    import av

    file = io.BytesIO()
    try:
        with open_output(file, muxer) as target:
            pictures = _add_pictures(target) if muxer in _VIDEO_FIRST else []
            packets = fill(target)
            target.start_encoding()
            target.mux(pictures)
            accepted = [_accepts(target, packet) for packet in packets]
    except (av.FFmpegError, ValueError):
        return None
    return _read_back(file, muxer) if any(accepted) or not packets else None


def _add_pictures(target: OutputContainer) -> list[Packet[Stream]]:
    """Add a video, and return a second of it."""
    import av

    stream = target.add_stream("mpeg2video", rate=_RATE)
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
    packets: list[Packet[Stream]] = []
    for number in range(int(_RATE)):
        frame = av.VideoFrame(64, 64, "yuv420p")
        frame.pts, frame.time_base = number, 1 / _RATE
        packets += stream.encode(frame)
    return [*packets, *stream.encode(None)]


def _accepts(target: OutputContainer, packet: Packet[Stream]) -> bool:
    import av

    try:
        target.mux(packet)
    except av.FFmpegError:
        return False
    return True


def _read_back(file: io.BytesIO, muxer: str) -> list[_Track]:
    import av

    try:
        with _open_back(file, muxer) as back:
            packets = [packet for packet in back.demux() if packet.size]
            return [
                _Track(
                    stream.type,
                    codec_name(stream),
                    is_cover(stream),
                    stream.type == "audio" and bool(decode_audio(_of(stream, packets))),
                    tuple(_times(_of(stream, packets))),
                )
                for stream in back.streams
            ]
    except (av.FFmpegError, ValueError):
        return []


def _of(stream: Stream, packets: Sequence[Packet[Stream]]) -> list[Packet[Stream]]:
    return [packet for packet in packets if packet.stream is stream]


def _open_back(file: io.BytesIO, muxer: str) -> InputContainer:
    # So little of a file is not recognised by itself.
    demuxer = "mov" if muxer in MOV_FAMILY else _DEMUXERS.get(muxer, muxer)
    return open_input(io.BytesIO(file.getvalue()), demuxer=demuxer)


def _stand_in() -> Packet[Stream]:
    """Return a packet in place of one that is not at hand."""
    import av

    packet: Packet[Stream] = av.Packet(b"text")
    packet.pts = packet.dts = 0
    packet.duration, packet.time_base, packet.is_keyframe = 1000, Fraction(1, 1000), True
    return packet


def _copy(packet: Packet[Stream], begin: Fraction) -> Packet[Stream]:
    """Copy a packet, earlier by `begin`, seconds."""
    import av

    copy: Packet[Stream] = av.Packet(bytes(packet))
    earlier = round(begin / time_base(packet))
    copy.pts = None if packet.pts is None else packet.pts - earlier
    copy.dts = None if packet.dts is None else packet.dts - earlier
    copy.duration = packet.duration
    copy.time_base, copy.is_keyframe = time_base(packet), packet.is_keyframe
    return copy
