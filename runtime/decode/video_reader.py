"""Read the frames of a video file in display order, with time stamps and other tracks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vsrc.runtime.decode.decoding import Decoding
from vsrc.runtime.decode.deinterlace import iter_deinterlaced
from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.decode.frame_data import make_carrier
from vsrc.runtime.decode.frame_rate import needs_stamps
from vsrc.runtime.decode.header_end import header_end
from vsrc.runtime.decode.media_file import describe_unpiped, open_container, video_stream
from vsrc.runtime.decode.probe import VideoInfo, from_stream
from vsrc.runtime.decode.sources import PIPE
from vsrc.runtime.decode.transparency import iter_opaque
from vsrc.runtime.errors import MediaError
from vsrc.runtime.library_failure import library_failures_named
from vsrc.runtime.picture.deep_colour import rgb_maker
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.pyav_versions import fraction
from vsrc.runtime.spec import LONGEST_WINDOW

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

_MARGIN_SECONDS = 2
"""How far before the first needed frame a seek aims, so that a key frame is in between."""

_TOLERANCE_SECONDS = Fraction(1, 2)
"""Tolerance of file lengths: headers round them, and some count the last frame differently."""

_RATE_FRAMES, _RATE_BYTES = 12, 64 << 20
"""Most frames that are decoded ahead to measure the frame rate, and their size, bytes."""


class Reader(Protocol):
    """Reader of frames.

    Attributes:
        info: Properties of the source.
        container: Open file, whose other tracks the writer copies; None for image sequences.
        is_deep: Whether to return uint16 rather than uint8; must be set before the iteration.
    """

    info: VideoInfo
    container: InputContainer | None
    is_deep: bool

    def __iter__(self) -> Iterator[SourceFrame]:
        """Yield the frames, once."""

    def seek(self, pts: int) -> None:
        """Make the iteration begin some frames before `pts`."""

    def notes(self) -> list[str]:
        """Return lines to report about the source, after the iteration."""

    def close(self) -> None:
        """Close the file."""


class VideoReader:
    """Reads one video file.

    Attributes:
        info: Properties of the file.
        container: Open file.
        is_deep: Whether to return uint16 rather than uint8.

    Args:
        path: Path of the file, or `PIPE`.
        deinterlace: Whether to deinterlace a video that is interlaced.
        drops_alpha: Whether transparency is ignored; otherwise it ends the iteration.
    """

    container: InputContainer | None
    is_deep = False

    def __init__(self, path: Path, *, deinterlace: bool = False, drops_alpha: bool = True) -> None:
        self._path = path
        self._drops_alpha = drops_alpha
        self._repeated = self._restamped = 0
        self._last_pts: int | None = None
        self._frames: Iterator[av.VideoFrame]
        name = "stdin" if str(path) == PIPE else str(path)
        with library_failures_named(name):
            first = self._open()
            stamps = self._first_stamps(first)
            self.info = from_stream(name, self._container, self._stream, first, stamps)
        self._deinterlace = deinterlace and self.info.is_interlaced
        self._decoding.lost.one_per_packet &= not self.info.is_interlaced

    def __iter__(self) -> Iterator[SourceFrame]:
        """Yield the frames in display order.

        Each frame is delayed until the next is decoded, which ends its duration. Durations of
        packets are not used: MP4 derives them from decoding times, which B-frames reorder. Packets
        after the last frame in the file are attached to that frame.

        Raises:
            MediaError: A library failed, in whatever way.
        """
        with library_failures_named(self.info.path):
            yield from self._timed()

    def _timed(self) -> Iterator[SourceFrame]:
        held: SourceFrame | None = None
        for frame in self._repaired():
            if held is not None:
                yield self._loaded(held, duration=frame.pts - held.pts)
            held = frame
        if held is not None:
            yield self._loaded(held, duration=held.duration or self._step())

    def seek(self, pts: int) -> None:
        """Make the iteration begin at a key frame well before `pts`, or at the first frame."""
        if str(self._path) == PIPE:
            return  # a pipe is read from the beginning
        limit = pts - LONGEST_WINDOW * self._step()
        target = limit - round(_MARGIN_SECONDS / self.info.time_base)
        if target > self.info.start and not self._seek_before(target, limit):
            self._container.close()
            self._open()
            self._decoding.lost.one_per_packet &= not self.info.is_interlaced

    def notes(self) -> list[str]:
        """Return lines to report about the file, after the iteration."""
        notes = []
        damaged = self._decoding.lost.damaged
        if damaged:
            notes.append(
                f"{damaged} damaged packets; {self._repeated} frames that could not be "
                "decoded were replaced by repeating their neighbours"
            )
        elif self._repeated:
            notes.append(
                f"{self._repeated} missing frames were replaced by repeating their neighbours"
            )
        if self._restamped:
            notes.append(f"{self._restamped} time stamps did not increase and were adjusted")
        if self._decoding.is_complete and (short := self._missing_end()):
            notes.append(short)
        return notes

    def close(self) -> None:
        """Close the file."""
        self._container.close()
        # The generator refers to this reader. Left to the garbage collector, its decoder might be
        # freed in a forked child, which would wait forever for decoding threads it does not have.
        self._frames = iter(())

    def _open(self) -> av.VideoFrame:
        """Open the file and decode its first frame."""
        self.container = self._container = open_container(self._path)
        try:
            self._stream = video_stream(self._container, self._path)
            self._begin(is_interlaced=False)
            self._is_sought = False
            self._header_end = header_end(self._container, self._stream)
            first = next(self._frames, None)
            if first is None and str(self._path) == PIPE:
                raise MediaError(describe_unpiped("no frame can be decoded"))
            if first is None:
                raise MediaError(
                    f"{self._path} has a video track, but no frame of it can be decoded"
                )
        except BaseException:
            self._container.close()
            raise
        self._frames = itertools.chain([first], self._frames)
        return first

    def _first_stamps(self, first: av.VideoFrame) -> list[int]:
        """Return the PTS of the first frames, which stay to be read; none if the rate is known."""
        rates = fraction(self._stream.average_rate), fraction(self._stream.guessed_rate)
        if not needs_stamps(*rates):
            return []
        most = max(4, min(_RATE_FRAMES, _RATE_BYTES // (4 * first.width * first.height)))
        begun = list(itertools.islice(self._frames, most))
        self._frames = itertools.chain(begun, self._frames)
        return [frame.pts for frame in begun if frame.pts is not None]

    def _begin(self, *, is_interlaced: bool) -> None:
        self._decoding = Decoding(self._container, self._stream, is_interlaced=is_interlaced)
        self._frames = self._decoding.frames()

    def _seek_before(self, target: int, limit: int) -> bool:
        """Seek to a key frame at or before `limit`; return whether that succeeded."""
        import av

        try:
            self._container.seek(target, stream=self._stream)
        except av.FFmpegError:
            return False
        self._begin(is_interlaced=self.info.is_interlaced)
        self._is_sought = True
        # In transport streams a seek may end anywhere; frames before a key frame depend on
        # frames that were skipped.
        first = next((frame for frame in self._frames if frame.key_frame), None)
        if first is None or first.pts is None or first.pts > limit:
            return False
        self._frames = itertools.chain([first], self._frames)
        return True

    def _repaired(self) -> Iterator[SourceFrame]:
        """Yield RGB frames at increasing PTS, with repeats where frames were lost."""
        info = self.info
        to_rgb = rgb_maker(
            info.colour,
            width=info.width,
            height=info.height,
            is_deep=self.is_deep,
            is_left=info.has_left_chroma,
        )
        rgb: Pixels | None = None
        frames = iter_deinterlaced(self._frames) if self._deinterlace else self._frames
        if not self._drops_alpha:
            frames = iter_opaque(frames, info.path, start=info.start, time_base=info.time_base)
        lost = self._decoding.lost
        for frame in frames:
            pts = self._pts(frame)
            if frame.pts is not None and lost.is_surplus(pts):
                continue
            new = to_rgb(frame)
            for missing in lost.received(pts):
                yield self._repeat(new if rgb is None else rgb, missing)
            rgb = new
            carrier = make_carrier(frame)
            yield self._stamped(SourceFrame(rgb, pts, frame.duration, carrier=carrier))
        if rgb is not None:
            for missing in lost.rest():
                yield self._repeat(rgb, missing)

    def _repeat(self, rgb: Pixels, pts: int) -> SourceFrame:
        self._repeated += 1
        return self._stamped(SourceFrame(rgb, pts))

    def _pts(self, frame: av.VideoFrame) -> int:
        """PTS of a decoded frame; extrapolated where there is none, as in raw streams."""
        if frame.pts is not None:
            return frame.pts
        return self.info.start if self._last_pts is None else self._last_pts + self._step()

    def _stamped(self, frame: SourceFrame) -> SourceFrame:
        """Return the frame with a PTS above the previous one, which encoders require."""
        if self._last_pts is not None and frame.pts <= self._last_pts:
            self._restamped += 1
            frame = replace(frame, pts=self._last_pts + 1, duration=0)
        self._last_pts = frame.pts
        return frame

    def _loaded(self, frame: SourceFrame, *, duration: int) -> SourceFrame:
        return replace(frame, packets=self._decoding.take_packets(), duration=duration)

    def _step(self) -> int:
        return max(1, round(1 / (self.info.rate * self.info.time_base)))

    def _missing_end(self) -> str:
        """Return a message if the file is shorter than its header says, else an empty string."""
        read = self._decoding
        # AVI counts empty chunks, which stand for frames that an encoder skipped.
        is_counted = self.info.container != "avi" and not self._is_sought
        if is_counted and self.info.frames > read.video_packets:
            return f"it is truncated: {read.video_packets} of {self.info.frames} frames are present"
        end = self._header_end
        if end is not None and read.end_seconds + _TOLERANCE_SECONDS < end:
            return (
                f"it is truncated: {float(read.end_seconds):.1f} of {float(end):.1f} seconds "
                "are present"
            )
        return ""
