"""Parameters with which AVI plays copied audio at the right times.

AVI stores no time stamps. Its header says how long a chunk of audio lasts: by the number of bytes
in a block and of bits in a second where blocks have a fixed size, else a frame for each chunk.
Files often carry wrong values, which other containers do not need.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from vsrc.runtime.decode.probe import codec_name
from vsrc.runtime.decode.track_samples import decode_audio
from vsrc.runtime.pyav_versions import open_input, open_output, time_base

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream

_FRAMED = frozenset(("aac", "ac3", "eac3", "mp2", "mp3"))
"""Codecs of which a chunk is a frame. Where a block size is given, as in other AVI and ASF files,
FFmpeg counts its bytes instead."""


@contextmanager
def open_avi_template(stream: Stream, packets: Sequence[Packet[Stream]]) -> Iterator[Stream]:
    """Yield a stream with the parameters of `stream` that AVI needs.

    Args:
        stream: Audio track of any container.
        packets: Some of its packets, which are left unchanged.
    """
    is_adts = codec_name(stream) == "aac" and not cast("Any", stream).codec_context.extradata
    if codec_name(stream) not in _FRAMED or is_adts:  # AVI holds no AAC of transport streams
        yield stream
        return
    file = io.BytesIO()
    with open_output(file, "matroska") as target:  # it has no block sizes
        copy = target.add_stream_from_template(stream, opaque=True)
        for packet in packets:
            target.mux(_copy_of(packet, copy))
    with open_input(io.BytesIO(file.getvalue()), demuxer="matroska") as again:
        yield again.streams.audio[0]


def set_avi_rate(copy: Stream, stream: Stream, packets: Sequence[Packet[Stream]]) -> None:
    """Set the bit rate of copied ADPCM to that of its packets: headers often have a wrong one."""
    if not codec_name(stream).startswith("adpcm_"):
        return
    frames = decode_audio(packets)
    samples = sum(frame.samples for frame in frames)
    if samples:
        context: Any = copy.codec_context
        size_bits = 8 * sum(packet.size for packet in packets)
        context.bit_rate = round(size_bits * frames[0].sample_rate / samples)


def _copy_of(packet: Packet[Stream], target: Stream) -> Packet[Stream]:
    import av

    copy: Packet[Stream] = av.Packet(bytes(packet))
    copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
    copy.time_base, copy.stream, copy.is_keyframe = time_base(packet), target, True
    return copy
