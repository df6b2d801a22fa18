"""Measure how strongly a video is compressed, from the sizes of its packets."""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vsrc.runtime.decode.media_file import open_container

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream

    from vsrc.runtime.decode.probe import VideoInfo

_STRETCHES = 4
_PACKETS = 150
"""Number of stretches of the file whose packets are counted, and packets of each."""

_USUAL_PIXELS = 640 * 360
_SIZE_POWER = 0.75
"""At the same quality, bits grow with this power of the number of pixels (Waggoner's rule)."""


def measure_bits_per_pixel(path: Path, info: VideoInfo) -> float | None:
    """Measure the size of a coded frame, in bits per pixel of a frame of 640x360.

    Packets of a few stretches are counted, evenly spread over the file: headers often have no bit
    rate, or one that includes audio. Larger frames take fewer bits per pixel at the same quality,
    which is accounted for.

    Args:
        path: A video file.
        info: Its properties.

    Returns:
        None if the video track has no packets.
    """
    with closing(open_container(path)) as container:
        stream = container.streams[info.index]
        sizes: list[int] = []
        for stretch in range(_STRETCHES):
            if stretch and not _seek(container, stream, info, stretch / _STRETCHES):
                break
            sizes += _packet_sizes(container, stream)
    if not sizes:
        return None
    bits, pixels = 8 * sum(sizes) / len(sizes), info.width * info.height
    return float(bits / _USUAL_PIXELS * (_USUAL_PIXELS / pixels) ** _SIZE_POWER)


def count_packets(path: Path, info: VideoInfo) -> int:
    """Count the packets of the video track of a file, which is read to its end."""
    import av

    count = 0
    with closing(open_container(path)) as container, suppress(av.FFmpegError):
        for packet in container.demux(container.streams[info.index]):
            count += bool(packet.size)
    return count


def _packet_sizes(container: InputContainer, stream: Stream) -> list[int]:
    import av

    sizes: list[int] = []
    try:
        for packet in container.demux(stream):
            if packet.size:
                sizes.append(packet.size)
            if len(sizes) == _PACKETS:
                break
    except av.FFmpegError:
        pass  # what follows is damaged; the reader reports it
    return sizes


def _seek(container: InputContainer, stream: Stream, info: VideoInfo, fraction: float) -> bool:
    import av

    if info.duration is None or info.estimated_frames <= _STRETCHES * _PACKETS:
        return False  # the packets so far are a large part of it, or there is no index
    try:
        container.seek(info.start + int(fraction * info.duration / info.time_base), stream=stream)
    except av.FFmpegError:
        return False
    return True
