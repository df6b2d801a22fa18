"""The frames of a clip, one after another, from a video or from pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.clips import ClipSource
from vsrc.runtime.errors import MediaError

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

Frame = NDArray[np.uint8]


class ClipFrames:
    """Frames of a clip in order; iterate over it once.

    Attributes:
        damaged: Packets or pictures that could not be decoded so far.
        missing: Frames the container promised and did not hold, known at the end.
    """

    def __init__(self, source: ClipSource) -> None:
        self._source = source
        self.damaged = 0
        self.missing = 0

    def __iter__(self) -> Iterator[Frame]:
        """Yield `(H, W, 3)` uint8 RGB frames, all of the first one's size.

        Raises:
            MediaError: Nothing can be decoded, or the size changes on the way.
        """
        shape: tuple[int, ...] | None = None
        for frame in self._video() if self._source.is_video else self._pictures():
            if shape is not None and frame.shape != shape:
                raise MediaError(
                    f"{self._source.place}: the size changes from {shape[1]}x{shape[0]} to "
                    f"{frame.shape[1]}x{frame.shape[0]}; split it where it does"
                )
            shape = frame.shape
            yield frame
        if shape is None:
            raise MediaError(f"{self._source.place}: not one frame could be decoded")

    def _pictures(self) -> Iterator[Frame]:
        for path in self._source.files:
            yield from self._picture(path)

    def _picture(self, path: Path) -> Iterator[Frame]:
        try:
            yield read_picture(path)
        except MediaError:
            self.damaged += 1

    def _video(self) -> Iterator[Frame]:
        path = self._source.files[0]
        with _open(path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            count = 0
            for packet in self._packets(container, stream):
                for frame in self._decoded(packet):
                    count += 1
                    yield _rgb(frame)
            self.missing = max(0, stream.frames - count)

    def _packets(
        self, container: InputContainer, stream: av.VideoStream
    ) -> Iterator[av.Packet[av.VideoStream]]:
        import av

        try:
            yield from container.demux(stream)
        except av.FFmpegError:  # the file ends in the middle of a packet
            self.damaged += 1

    def _decoded(self, packet: av.Packet[av.VideoStream]) -> list[av.VideoFrame]:
        import av

        try:
            return packet.decode()
        except av.FFmpegError:
            self.damaged += 1
            return []


def read_picture(path: Path) -> Frame:
    """A picture as `(H, W, 3)` uint8 RGB.

    Raises:
        MediaError: It is not a picture, or damaged.
    """
    import av

    try:
        with _open(path) as container:
            for frame in container.decode(video=0):
                return _rgb(frame)
    except av.FFmpegError as error:
        raise MediaError(f"{path} cannot be decoded: {error}") from error
    raise MediaError(f"{path} holds no picture")


def _rgb(frame: av.VideoFrame) -> Frame:
    return np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)


def _open(path: Path) -> InputContainer:
    import av

    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"{path} cannot be read: {error}") from error
    if not container.streams.video:
        container.close()
        raise MediaError(f"{path} has no video stream")
    return container
