"""Frames of a video file, in the order they are shown, with their time stamps and other tracks."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vsrc.runtime.covers import is_cover
from vsrc.runtime.deep_colour import rgb_maker
from vsrc.runtime.deinterlace import deinterlaced
from vsrc.runtime.errors import MediaError
from vsrc.runtime.lost_frames import (
    ONE_FRAME_ONCE_DAMAGED,
    ONE_FRAME_PER_PACKET,
    LostFrames,
)
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.probe import VideoInfo, codec_name, from_stream
from vsrc.runtime.sources import PIPE
from vsrc.runtime.stamped import SourceFrame

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

_MARGIN_SECONDS = 2
"""How far before the first frame that matters a seek aims, so that a key frame lies between."""

_NEIGHBOURS = 64
"""Frames that matter before the wanted one: as many as the longest window has."""


_TOLERANCE_SECONDS = Fraction(1, 2)
"""Headers round the length of a file, and some count its last frame differently."""


class Reader(Protocol):
    """Where frames come from.

    Attributes:
        info: What the source holds.
        container: The open file, whose other tracks the writer copies; None for pictures.
        is_deep: Frames come as uint16 rather than uint8. To be set before the iteration.
    """

    info: VideoInfo
    container: InputContainer | None
    is_deep: bool

    def __iter__(self) -> Iterator[SourceFrame]:
        """Yield the frames, once."""

    def seek(self, pts: int) -> None:
        """Let the iteration begin some frames before `pts`."""

    def notes(self) -> list[str]:
        """What the user should know of the source, after the iteration."""

    def close(self) -> None:
        """Let go of the file."""


class VideoReader:
    """Reads one video file.

    Attributes:
        info: What the file holds.
        container: The open file.
        is_deep: Frames come as uint16 rather than uint8.
    """

    container: InputContainer | None
    is_deep = False

    def __init__(self, path: Path, *, deinterlace: bool = False) -> None:
        self._path = path
        self._packets: list[Packet[Stream]] = []
        self._repeated = self._restamped = self._video_packets = 0
        self._last_pts: int | None = None
        self._end_seconds = Fraction(0)
        self._reached_end = False
        self._decoded: Iterator[av.VideoFrame]
        first = self._open()
        name = "stdin" if str(path) == PIPE else str(path)
        self.info = from_stream(name, self._container, self._stream, first)
        self._deinterlace = deinterlace and self.info.is_interlaced
        # A field may have a packet of its own.
        self._lost.one_per_packet &= not self.info.is_interlaced

    def __iter__(self) -> Iterator[SourceFrame]:
        """Yield the frames in the order they are shown.

        Each is held back until the next is there. It is shown until then, whatever its packet says:
        MP4 derives that from decoding times, which B-frames shuffle. And what follows the last
        frame in the file has to ride on that one.
        """
        held: SourceFrame | None = None
        for frame in self._repaired():
            if held is not None:
                yield self._loaded(held, duration=frame.pts - held.pts)
            held = frame
        if held is not None:
            yield self._loaded(held, duration=held.duration or self._step())

    def seek(self, pts: int) -> None:
        """Let the iteration begin at a key frame well before `pts`, or at the first frame."""
        if str(self._path) == PIPE:
            return  # it runs past from the beginning
        limit = pts - _NEIGHBOURS * self._step()
        target = limit - round(_MARGIN_SECONDS / self.info.time_base)
        if target > self.info.start and not self._seek_before(target, limit):
            self._container.close()
            self._open()

    def notes(self) -> list[str]:
        """What the user should know of the file, after the iteration."""
        notes = []
        if self._lost.damaged:
            notes.append(
                f"{self._lost.damaged} damaged packets; {self._repeated} frames that could not be "
                "decoded are repeats of their neighbours"
            )
        elif self._repeated:
            notes.append(
                f"{self._repeated} frames were missing and are repeats of their neighbours"
            )
        if self._restamped:
            notes.append(f"{self._restamped} time stamps did not grow and were moved")
        if self._reached_end and (short := self._missing_end()):
            notes.append(short)
        return notes

    def close(self) -> None:
        """Let go of the file."""
        self._container.close()
        # The generator holds this reader. Left to the garbage collector, its decoder might be freed
        # in a forked child, which would wait forever for decoding threads that it does not have.
        self._decoded = iter(())

    def _open(self) -> av.VideoFrame:
        """Open the file and decode its first frame."""
        self.container = self._container = open_container(self._path)
        try:
            self._stream = _video_stream(self._container, self._path)
            self._begin()
            first = next(self._decoded, None)
            if first is None:
                raise MediaError(
                    f"{self._path} has a video track, but no frame of it can be decoded"
                )
        except BaseException:
            self._container.close()
            raise
        self._decoded = itertools.chain([first], self._decoded)
        return first

    def _begin(self) -> None:
        self._packets.clear()
        codec = codec_name(self._stream)
        # AVI packs two MPEG-4 frames into one packet.
        is_avi = self._container.format.name == "avi"
        self._lost = LostFrames(
            one_per_packet=codec in ONE_FRAME_PER_PACKET,
            one_once_damaged=codec in ONE_FRAME_ONCE_DAMAGED and not is_avi,
        )
        self._video_packets = 0
        self._decoded = self._decode()

    def _seek_before(self, target: int, limit: int) -> bool:
        """Whether the file could be wound to a key frame at or before `limit`."""
        import av

        try:
            self._container.seek(target, stream=self._stream)
        except av.FFmpegError:
            return False
        self._begin()
        self._lost.one_per_packet &= not self.info.is_interlaced
        # Transport streams land anywhere; what comes before a key frame leans on what was skipped.
        first = next((frame for frame in self._decoded if frame.key_frame), None)
        if first is None or first.pts is None or first.pts > limit:
            return False
        self._decoded = itertools.chain([first], self._decoded)
        return True

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Yield what the decoder gives; packets of the other tracks are laid aside on the way."""
        import av

        try:
            for packet in self._container.demux(self._stream, *copied_tracks(self._container)):
                if packet.stream is self._stream:
                    yield from self._decode_packet(packet)
                elif packet.size:
                    self._saw(packet)
                    self._packets.append(packet)
        except av.FFmpegError:  # the file cannot be read on; the decoder may still hold frames
            self._lost.refused()
            yield from self._decode_packet(None)
        self._reached_end = True

    def _decode_packet(self, packet: Packet[Stream] | None) -> list[av.VideoFrame]:
        import av

        if packet is not None and packet.size:
            self._saw(packet)
            self._video_packets += 1
            if not packet.is_discard:
                self._lost.sent(packet.pts, is_key=packet.is_keyframe)
        try:
            frames = self._stream.decode(packet)
        except av.EOFError:
            return []
        except av.FFmpegError:
            self._lost.refused()
            return []
        if packet is not None and packet.is_corrupt:
            self._lost.refused()
        return frames

    def _saw(self, packet: Packet[Stream]) -> None:
        if packet.pts is not None:
            end = (packet.pts + (packet.duration or 0)) * packet.time_base
            self._end_seconds = max(self._end_seconds, end)

    def _repaired(self) -> Iterator[SourceFrame]:
        """Yield RGB frames, with repeats where frames were lost, at growing PTS."""
        info = self.info
        to_rgb = rgb_maker(info.colour, width=info.width, height=info.height, is_deep=self.is_deep)
        rgb: Pixels | None = None
        decoded = deinterlaced(self._decoded) if self._deinterlace else self._decoded
        for frame in decoded:
            pts = self._pts(frame)
            if frame.pts is not None and self._lost.is_surplus(pts):
                continue
            new = to_rgb(frame)
            for lost in self._lost.received(pts):
                yield self._repeat(new if rgb is None else rgb, lost)
            rgb = new
            yield self._stamped(SourceFrame(rgb, pts, frame.duration))
        if rgb is not None:
            for lost in self._lost.rest():
                yield self._repeat(rgb, lost)

    def _repeat(self, rgb: Pixels, pts: int) -> SourceFrame:
        self._repeated += 1
        return self._stamped(SourceFrame(rgb, pts))

    def _pts(self, frame: av.VideoFrame) -> int:
        """PTS of a decoded frame; counted on where the stream has none, as raw streams do."""
        if frame.pts is not None:
            return frame.pts
        return self.info.start if self._last_pts is None else self._last_pts + self._step()

    def _stamped(self, frame: SourceFrame) -> SourceFrame:
        """The frame with a PTS after that of the one before: encoders take no other."""
        if self._last_pts is not None and frame.pts <= self._last_pts:
            self._restamped += 1
            frame = replace(frame, pts=self._last_pts + 1, duration=0)
        self._last_pts = frame.pts
        return frame

    def _loaded(self, frame: SourceFrame, *, duration: int) -> SourceFrame:
        packets = tuple(self._packets)
        self._packets.clear()
        return replace(frame, packets=packets, duration=duration)

    def _step(self) -> int:
        return max(1, round(1 / (self.info.rate * self.info.time_base)))

    def _missing_end(self) -> str:
        """A sentence, if the file ends before the place its header names."""
        if self.info.frames > self._video_packets:
            return f"it is cut short: {self._video_packets} of {self.info.frames} frames are there"
        duration = self.info.file_duration
        if self._end_seconds + _TOLERANCE_SECONDS < duration:
            return (
                f"it is cut short: {float(self._end_seconds):.1f} of {float(duration):.1f} seconds "
                "are there"
            )
        return ""


def open_container(path: Path) -> InputContainer:
    """Open a local media file.

    Raises:
        MediaError: It does not exist, or FFmpeg cannot read it.
    """
    import av

    if str(path) == PIPE:
        return _open_stdin()
    if not path.exists():
        raise MediaError(f"{path} does not exist")
    if not path.is_file():
        raise MediaError(f"{path} is not a file")
    try:
        # "file:" keeps a colon in a name from being taken for a protocol; a playlist cannot make
        # FFmpeg fetch anything from elsewhere.
        container = av.open(
            f"file:{path}",
            container_options={"protocol_whitelist": "file"},
            metadata_errors="surrogateescape",
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MediaError(
            f"{path} is not a video that FFmpeg can read, or its beginning is damaged ({reason})"
        ) from error
    if container.format.name == "tty":  # FFmpeg would play any text file as terminal art
        container.close()
        raise MediaError(f"{path} is a text file, not a video")
    return container


def _open_stdin() -> InputContainer:
    import av

    try:
        return av.open(sys.stdin.buffer, "r", metadata_errors="surrogateescape")
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MediaError(
            f"stdin is not a video that FFmpeg can read as it comes ({reason}); y4m, Matroska and "
            "MPEG-TS can be piped"
        ) from error


def _video_stream(container: InputContainer, path: Path) -> av.VideoStream:
    """The video track; a cover picture is none."""
    streams = [stream for stream in container.streams.video if not is_cover(stream)]
    if not streams:
        kinds = sorted({stream.type for stream in container.streams})
        raise MediaError(f"{path} has no video track (it has: {', '.join(kinds) or 'nothing'})")
    best = container.streams.best("video")
    stream = next((stream for stream in streams if stream is best), streams[0])
    if codec_name(stream) == "unknown":
        raise MediaError(f"{path}: this build of FFmpeg has no decoder for its video track")
    # Frames with concealed damage are better than none: they keep the count and the time.
    stream.codec_context.flags |= _output_corrupt()
    return stream


def copied_tracks(container: InputContainer) -> list[Stream]:
    """The tracks whose packets ride on the frames: sound, subtitles, cover pictures."""
    return [
        stream
        for stream in container.streams
        if stream.type in ("audio", "subtitle") or is_cover(stream)
    ]


def _output_corrupt() -> int:
    from av.codec.context import Flags

    return int(Flags.output_corrupt)
