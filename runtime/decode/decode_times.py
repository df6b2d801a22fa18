"""Containers and streams whose packets do not say when frames are shown.

Some store when packets are decoded, not when frames are shown. Of those that store no times at all,
FFmpeg takes the number of a picture for its time (Dirac), or all frames of MPEG-1 for such as are
shown when they are decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vsrc.runtime.decode.probe import codec_name

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

_H26X = frozenset(("h264", "hevc", "vvc"))

_DECODE_TIMES = {
    "asf": _H26X | {"mpeg1video", "mpeg2video"},
    "avi": _H26X,
    "mpegvideo": frozenset(("mpeg1video",)),
}
"""FFmpeg's name of a container -> codecs of which it has the times of decoding only, and does not
derive the others from them."""

_NUMBERED = "dirac"
"""FFmpeg's name of the container whose stamps count pictures."""


def stores_decode_times(container: InputContainer, stream: av.VideoStream) -> bool:
    """Whether only the decoding times of the packets of a video are known."""
    return codec_name(stream) in _DECODE_TIMES.get(container.format.name, ())


def choose_restamping(
    container: InputContainer, stream: av.VideoStream
) -> Callable[[Packet[Stream]], None]:
    """Return what corrects the stamps of each packet of a video, before it is decoded."""
    if stores_decode_times(container, stream):
        return _take_decode_time
    return _forget_stamps if container.format.name == _NUMBERED else _keep_stamps


def find_delay(container: InputContainer, stream: av.VideoStream, first: av.VideoFrame) -> int:
    """Return by how much a decoder delays frames whose stamps are times of decoding, in PTS.

    Args:
        container: Open file.
        stream: Its video.
        first: First frame that the decoder returned.
    """
    if not stores_decode_times(container, stream) or first.pts is None or first.dts is None:
        return 0
    return max(0, first.dts - first.pts)


def _take_decode_time(packet: Packet[Stream]) -> None:
    packet.pts = packet.dts


def _forget_stamps(packet: Packet[Stream]) -> None:
    packet.pts = packet.dts = None


def _keep_stamps(_packet: Packet[Stream]) -> None:
    pass
