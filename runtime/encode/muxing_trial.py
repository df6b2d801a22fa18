"""Try in memory what a container can hold, by muxing a little of it and reading that back.

FFmpeg's lists of supported codecs are not enough: MPEG-TS takes any track and stores those that it
does not know as private data, and a damaged header only shows when it is written.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from vsrc.runtime.decode.covers import is_cover
from vsrc.runtime.decode.probe import codec_name
from vsrc.runtime.encode.copied_track import CopiedTrack, add_copied_stream
from vsrc.runtime.encode.video_stream import MOV_FAMILY
from vsrc.runtime.pyav_versions import open_input, open_output

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream

_VIDEO_ENCODERS = ("mpeg4", "mpeg2video", "libvpx", "libvpx-vp9", "mjpeg")
"""Fast encoders, of which every container that vsrc writes supports one."""

_SAFE_CODECS = {"flv": frozenset(("aac", "ac3", "eac3", "flac", "mp3", "opus"))}
"""Audio codecs that may be tried; FFmpeg 8's FLV muxer aborts the process for all others."""

Fill = Callable[["OutputContainer"], list["Packet[Stream]"]]
"""Function that adds a stream to a container, and returns some packets of it."""


def can_hold(muxer: str, stream: Stream, packets: Sequence[Packet[Stream]]) -> bool:
    """Whether a container can hold a track of a source as it is.

    Args:
        muxer: FFmpeg's name of the container.
        stream: Track.
        packets: Some of its packets, which are left unchanged; may be empty.
    """
    if stream.type == "audio" and codec_name(stream) not in _SAFE_CODECS.get(
        muxer, (codec_name(stream),)
    ):
        return False

    def fill(target: OutputContainer) -> list[Packet[Stream]]:
        copy = add_copied_stream(target, stream)
        copy.disposition, track = stream.disposition, CopiedTrack(copy)
        return [new for packet in packets for new in track.packets(_copy(packet))]

    back = _mux(muxer, fill)
    if back is None:
        return False
    if is_cover(stream):
        return any(cover for *_, cover in back) or (not packets and muxer in MOV_FAMILY)
    # A known codec that is read back as an unknown one was stored as private data.
    is_known = codec_name(stream) != "unknown"
    return not packets or any(
        kind == stream.type and (codec != "unknown" or not is_known) for kind, codec, _ in back
    )


def can_hold_encoded(muxer: str, kind: str, fill: Fill) -> bool:
    """Whether a container can hold an encoded track of a type, `audio` or `subtitle`."""
    back = _mux(muxer, fill)
    return back is not None and any(
        found == kind and codec != "unknown" for found, codec, _ in back
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
            with open_input(io.BytesIO(file.getvalue())) as back:
                kept = {name.lower() for name in back.metadata}
        except (av.FFmpegError, ValueError):
            continue
        return [name for name in tags if name.lower() not in kept]
    return []


def can_hold_timecode(muxer: str, timecode: str, rate: object) -> bool:
    """Whether a muxer accepts a timecode, `01:00:00;00`, for video of this rate, frames/s."""
    import av

    for encoder in _VIDEO_ENCODERS:
        try:
            with open_output(io.BytesIO(), muxer) as target:
                _mux_picture(target, encoder, rate=rate)
        except (av.FFmpegError, ValueError):
            continue
        try:
            with open_output(io.BytesIO(), muxer) as target:
                _mux_picture(target, encoder, rate=rate, timecode=timecode)
        except (av.FFmpegError, ValueError):
            return False
        return True
    return True


def _mux_picture(
    target: OutputContainer, encoder: str, *, rate: object = 25, timecode: str = ""
) -> None:
    """Mux a video of one grey frame."""
    import av

    stream: av.VideoStream = target.add_stream(encoder, rate=rate)  # type: ignore[call-overload]
    stream.width = stream.height = 64
    formats = stream.codec_context.codec.video_formats or [av.VideoFormat("yuv420p")]
    stream.pix_fmt = formats[0].name
    if timecode:
        stream.metadata["timecode"] = timecode
    frame = av.VideoFrame(64, 64, formats[0].name)
    frame.pts = 0
    target.mux(stream.encode(frame))
    target.mux(stream.encode(None))


def _mux(muxer: str, fill: Fill) -> list[tuple[str, str, bool]] | None:
    """Mux a track; return type and codec of what is read back, and whether it is a cover.

    Returns:
        None if the muxer refuses the track, or all of its packets.
    """
    import av

    file = io.BytesIO()
    try:
        with open_output(file, muxer) as target:
            packets = fill(target)
            target.start_encoding()
            accepted = [_accepts(target, packet) for packet in packets]
    except (av.FFmpegError, ValueError):
        return None
    return _read_back(file) if any(accepted) or not packets else None


def _accepts(target: OutputContainer, packet: Packet[Stream]) -> bool:
    import av

    try:
        target.mux(packet)
    except av.FFmpegError:
        return False
    return True


def _read_back(file: io.BytesIO) -> list[tuple[str, str, bool]]:
    import av

    try:
        with open_input(io.BytesIO(file.getvalue())) as back:
            return [(stream.type, codec_name(stream), is_cover(stream)) for stream in back.streams]
    except (av.FFmpegError, ValueError):
        return []


def _copy(packet: Packet[Stream]) -> Packet[Stream]:
    import av

    copy: Packet[Stream] = av.Packet(bytes(packet))
    copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
    copy.time_base, copy.is_keyframe = packet.time_base, packet.is_keyframe
    return copy
