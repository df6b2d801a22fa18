"""Containers that store when packets are decoded, not when frames are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsrc.runtime.decode.probe import codec_name

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

_DECODE_TIMES = frozenset(("asf", "avi"))

_NOT_DERIVED = frozenset(("h264", "hevc", "vvc"))
"""Codecs for which FFmpeg does not derive the one from the other."""


def stores_decode_times(container: InputContainer, stream: av.VideoStream) -> bool:
    """Whether only the decoding times of the packets of a video are known."""
    return container.format.name in _DECODE_TIMES and codec_name(stream) in _NOT_DERIVED


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
