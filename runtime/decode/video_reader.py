"""Read the frames of a video file in display order, with time stamps and other tracks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from vsrc.runtime.decode.clean_start import CleanStart
from vsrc.runtime.decode.decode_times import find_delay
from vsrc.runtime.decode.decoding import Decoding
from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.decode.frames.deinterlace import iter_deinterlaced, iter_progressive
from vsrc.runtime.decode.frames.frame_data import make_carrier
from vsrc.runtime.decode.frames.transparency import check_opaque
from vsrc.runtime.decode.media_file import (
    describe_unpiped,
    header_end,
    open_container,
    video_stream,
)
from vsrc.runtime.decode.packet_decoder import DecoderOpener, StreamDecoder
from vsrc.runtime.decode.packet_scan import scan_packets
from vsrc.runtime.decode.probe import VideoInfo, from_stream
from vsrc.runtime.decode.rgb_conversion import RgbConversion
from vsrc.runtime.decode.samples import has_interlaced
from vsrc.runtime.decode.source_notes import (
    HeaderLength,
    describe_damage,
    describe_left_out,
    describe_missing_end,
    describe_places,
    describe_restarts,
    describe_unclean,
)
from vsrc.runtime.decode.sources import PIPE, is_stream
from vsrc.runtime.decode.stamps.continuous_clock import WITH_OWN_CLOCK, open_clock
from vsrc.runtime.decode.stamps.display_order import DisplayOrder, TimedFrame
from vsrc.runtime.decode.stamps.frame_rate import needs_stamps
from vsrc.runtime.errors import HardwareError, InterlacedError, MediaError
from vsrc.runtime.library_failure import library_failures_named
from vsrc.runtime.picture.device_planes import FrameConverter
from vsrc.runtime.pyav_versions import fraction
from vsrc.runtime.spec import LONGEST_WINDOW

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

_MARGIN_SECONDS = 2
"""How far before the first needed frame a seek aims, so that a key frame is in between."""

_RATE_FRAMES, _RATE_BYTES = 12, 64 << 20
"""Most frames that are decoded ahead to measure the frame rate, and their size, bytes."""


class VideoReader:
    """Reads one video file.

    Attributes:
        info: Properties of the file.
        container: Open file.
        is_deep: Whether to return uint16 rather than uint8.

    Args:
        path: The file, or `-` for stdin.
        deinterlace: Whether interlaced frames are deinterlaced.
        is_strict: Whether frames are counted, and interlaced ones looked for, in the whole file;
            those are an error where they are found during the iteration, unless they are
            deinterlaced.
        drops_alpha: Whether transparency is ignored; otherwise it ends the iteration.
    """

    info: VideoInfo
    container: InputContainer | None
    is_deep = False

    def __init__(
        self,
        path: Path,
        *,
        deinterlace: bool = False,
        is_strict: bool = False,
        drops_alpha: bool = True,
    ) -> None:
        self._path = path
        self._drops_alpha = drops_alpha
        self._deinterlace = deinterlace
        self._stops_at_interlaced = is_strict and not deinterlace
        self._repeated = self._unclean = self._restamped = 0
        self._is_sought = False
        self._last_pts: int | None = None
        self.container = None
        self._opened: list[InputContainer] = []
        self._open_decoder: DecoderOpener = StreamDecoder
        self._decoded: Iterator[av.VideoFrame]
        self._frames: Iterator[TimedFrame]
        self._rgb: RgbConversion
        name = "stdin" if str(path) == PIPE else str(path)
        with library_failures_named(name):
            self._prepare(name, find_interlaced=is_strict or deinterlace)
            if is_strict and not self.info.frames:
                self._count_frames()

    def _prepare(self, name: str, *, find_interlaced: bool) -> None:
        """Open the file, and collect its properties from its first frames."""
        is_mixed = find_interlaced and has_interlaced(self._path)
        first = self._open()
        stamps = self._first_stamps(first)
        info = from_stream(name, self._container, self._stream, first, stamps)
        self._is_unmarked = info.is_interlaced and not first.interlaced_frame and not is_mixed
        self._lead = find_delay(self._container, self._stream, first)
        self.info = replace(
            info,
            is_interlaced=info.is_interlaced or is_mixed,
            skipped=self._clean.skipped,
        )
        self.info = replace(self.info, start=self._begin() + self._lead)
        self._rgb = RgbConversion(self.info)

    def _begin(self) -> int:
        """Stamp the frames of a newly opened file; return the PTS of the first."""
        self._decoding.lost.one_per_packet &= not self.info.is_interlaced
        self._stamp()
        timed = next(self._frames)
        self._frames = itertools.chain([timed], self._frames)
        return timed.pts

    def decode_with(
        self, open_decoder: DecoderOpener, to_device: FrameConverter | None = None
    ) -> None:
        """Begin again with another decoder; before the iteration, and before `seek`.

        The properties of the file stay those that were found on the CPU.

        Args:
            open_decoder: Opens the decoder.
            to_device: Converts its frames, which it leaves on a device; None for frames in host
                memory.

        Raises:
            HardwareError: It is one of a GPU, and does not decode the first frames.
        """
        self._open_decoder = open_decoder
        self._rgb = RgbConversion(self.info, to_device)
        with library_failures_named(self.info.path):
            first = self._open()
            if (first.width, first.height) != (self.info.width, self.info.height):
                raise HardwareError(f"NVDEC gave frames of {first.width}x{first.height}")
            self._begin()

    def _count_frames(self) -> None:
        """Take the number of frames and the length from the packets; both may be unknown."""
        scan = scan_packets(self._path)
        if scan is None or not scan.frames:
            return
        frames = max(1, scan.frames - self._clean.left_out)
        length = scan.length - self._clean.skipped
        self.info = replace(
            self.info,
            counted=frames,
            is_count_exact=not scan.is_extrapolated and not self.info.is_interlaced,
            duration=length or self.info.duration,
        )

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
        if is_stream(self._path):
            return  # a pipe is read from the beginning
        limit = pts - LONGEST_WINDOW * self._step()
        target = limit - round(_MARGIN_SECONDS / self.info.time_base)
        if target <= self.info.start:
            return
        if not self._seek_before(target - self._lead, limit - self._lead):
            self._open()
        self._is_sought = True
        self._stamp()

    @property
    def joints(self) -> Sequence[Fraction]:
        """Return when recordings ended or began so far, seconds; packets there may be cut off."""
        return self._decoding.joints

    def notes(self) -> list[str]:
        """Return lines to report about the file, after the iteration."""
        notes = []
        if self._clean.left_out:
            notes.append(describe_left_out(self._clean.left_out, self._clean.skipped))
        begin = self.info.start * self.info.time_base
        notes += describe_restarts(self._decoding.restarts, self._decoding.jumps, start=begin)
        if self._unclean:
            notes.append(describe_unclean(self._unclean))
        if damage := describe_damage(self._decoding.lost.damaged, repeated=self._repeated):
            notes.append(damage)
        if adjusted := self._restamped + self._order.adjusted:
            notes.append(f"{adjusted} time stamps did not increase and were adjusted")
        is_whole = self._decoding.is_complete and not self._is_sought
        if is_whole and (short := describe_missing_end(self._decoding, self.info, self._length)):
            notes.append(short)
        return notes

    def close(self) -> None:
        """Close the file."""
        for container in self._opened:
            container.close()
        # The generator refers to this reader. Left to the garbage collector, its decoder might be
        # freed in a forked child, which would wait forever for decoding threads it does not have.
        self._decoded, self._frames = iter(()), iter(())

    def _open(self) -> av.VideoFrame:
        """Open the file and decode its first clean frame."""
        self._reopen()
        try:
            self._start_decoding()
            decoded = self._decoding.frames()
            self._clean = CleanStart(self._decoding, self._stream)
            self._length = HeaderLength(
                self._stream.frames, header_end(self._container, self._stream)
            )
            first = self._clean.first(decoded)
            if first is None and str(self._path) == PIPE:
                raise MediaError(describe_unpiped("no frame can be decoded"))
            if first is None:
                raise MediaError(f"{self._path} has a video track, but {self._clean.refusal}")
        except BaseException:
            self.close()
            raise
        self._decoded = itertools.chain([first], decoded)
        return first

    def _first_stamps(self, first: av.VideoFrame) -> list[int]:
        """Return the PTS of the first frames, which stay to be read; none if the rate is known."""
        rates = fraction(self._stream.average_rate), fraction(self._stream.guessed_rate)
        if not needs_stamps(*rates):
            return []
        most = max(4, min(_RATE_FRAMES, _RATE_BYTES // (4 * first.width * first.height)))
        begun = list(itertools.islice(self._decoded, most))
        self._decoded = itertools.chain(begun, self._decoded)
        stamps = [frame.pts for frame in begun if frame.pts is not None]
        durations = [frame.duration or 0 for frame in begun]
        if 2 * len(stamps) < len(begun) and all(durations):
            # Packets of program streams hold many small pictures, and the time of the first one.
            return list(itertools.accumulate(durations))
        return stamps

    def _reopen(self) -> None:
        """Open the file at its beginning; what a writer copies from stays open."""
        self._container = open_container(self._path)
        self._opened.append(self._container)
        if self.container is None:
            self.container = self._container
        self._stream = video_stream(self._container, self._path)

    def _start_decoding(self, *, is_interlaced: bool = False, begin: int | None = None) -> None:
        """Begin a pass over the open file, with the chosen decoder; see `Decoding`."""
        self._decoding = Decoding(
            self._container,
            self._stream,
            is_interlaced=is_interlaced,
            begin=begin,
            open_decoder=self._open_decoder,
        )

    def _stamp(self) -> None:
        """Set up deinterlacing and time stamps of the frames to be decoded."""
        if self.info.is_interlaced:
            self._decoding.expect_fields()
        decoded: Iterator[av.VideoFrame] = self._decoded
        if self._stops_at_interlaced and not self.info.is_interlaced:
            decoded = iter_progressive(decoded, self._refuse_interlaced)
        if self._deinterlace:
            decoded = iter_deinterlaced(decoded, is_unmarked=self._is_unmarked)
        self._order = DisplayOrder(self._decoding.lost, step=self._step(), start=self.info.start)
        self._frames = self._order.iter_timed(decoded)

    def _seek_before(self, target: int, limit: int) -> bool:
        """Seek to a key frame at or before `limit`; return whether that succeeded."""
        import av

        is_interlaced = self.info.is_interlaced
        try:
            if self._must_be_read_through():
                # A place in time is known only after all packets before it: the clock may restart.
                self._reopen()
                self._start_decoding(is_interlaced=is_interlaced, begin=target)
            else:
                self._container.seek(target, stream=self._stream)
                self._start_decoding(is_interlaced=is_interlaced)
                self._decoding.flush()
        except av.FFmpegError:
            return False
        decoded = self._decoding.frames()
        # Frames before a key frame depend on frames that were skipped.
        first = next((frame for frame in decoded if frame.key_frame), None)
        if first is None or first.pts is None or first.pts > limit:
            return False
        self._decoded = itertools.chain([first], decoded)
        return True

    def _must_be_read_through(self) -> bool:
        """Whether no index knows where a time is: the clock of the file may restart."""
        if self._container.format.name in WITH_OWN_CLOCK:
            return True
        scan = scan_packets(self._path) if open_clock(self._container.format.name) else None
        return scan is not None and scan.restarts

    def _refuse_interlaced(self, frame: av.VideoFrame) -> InterlacedError:
        place = "" if frame.pts is None else f" from {self._time(frame.pts)} on"
        return InterlacedError(
            f"{self.info.path} is interlaced{place} and the network was trained on progressive "
            "frames; run it again with --deinterlace, which resumes"
        )

    def _repaired(self) -> Iterator[SourceFrame]:
        """Yield RGB frames at increasing PTS, with repeats where frames were lost."""
        last: SourceFrame | None = None
        for timed in self._frames:
            if not self._drops_alpha:
                seconds = (timed.pts + self._lead - self.info.start) * self.info.time_base
                check_opaque(timed.frame, self.info.path, seconds=seconds)
            new = self._rgb.convert(timed.frame, timed.pts + self._lead, is_deep=self.is_deep)
            if timed.lost:
                self._decoding.check_concealed("lacks frames")
            for missing in timed.lost:
                yield self._repeat(last or new, missing + self._lead)
            last = new
            carrier = make_carrier(timed.frame)
            yield self._stamped(replace(new, duration=timed.frame.duration, carrier=carrier))
        if last is not None:
            for missing in self._decoding.lost.rest():
                self._decoding.check_concealed("lacks frames at its end")
                yield self._repeat(last, missing + self._lead)

    def _repeat(self, frame: SourceFrame, pts: int) -> SourceFrame:
        is_unclean = any(one.is_before_clean(pts - self._lead) for one in self._decoding.later)
        self._unclean += is_unclean
        self._repeated += not is_unclean
        return self._stamped(SourceFrame(frame.rgb, pts, resident=frame.resident))

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

    def _time(self, pts: int) -> str:
        return self._times([(pts + self._lead) * self.info.time_base])

    def _times(self, places: list[Fraction]) -> str:
        return describe_places(places, start=self.info.start * self.info.time_base)
