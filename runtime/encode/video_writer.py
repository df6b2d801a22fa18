"""Write the upscaled video, with the other tracks, chapters and tags of the source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vsrc.runtime.decode.frame import ResultFrame
from vsrc.runtime.decode.media_file import find_start, select_copied_tracks
from vsrc.runtime.decode.packet_scan import scan_packets
from vsrc.runtime.decode.reader import Reader
from vsrc.runtime.decode.stamps.continuous_clock import WITH_OWN_CLOCK
from vsrc.runtime.encode import avi
from vsrc.runtime.encode.frame_data_encoder import FrameDataEncoder
from vsrc.runtime.encode.kept_states import KeptStates, SegmentCounter
from vsrc.runtime.encode.matroska_aspect import DisplaySize
from vsrc.runtime.encode.muxers import (
    MOV_FAMILY,
    SMOOTH,
    WITHOUT_STAMPS,
    WITHOUT_START,
    muxer_of,
    muxer_options,
)
from vsrc.runtime.encode.refusal import explain_refusal
from vsrc.runtime.encode.segment_encoder import (
    SegmentedEncoder,
    ends_segment,
    frames_per_segment,
)
from vsrc.runtime.encode.segments import SegmentStore, SegmentTotals, StoredPacket
from vsrc.runtime.encode.tags import (
    check_chapters,
    check_timecode,
    choose_tags,
    copy_chapters,
    copy_tags,
)
from vsrc.runtime.encode.time_limits import (
    MovTimes,
    check_gap,
    choose_mov_times,
    describe_seconds,
)
from vsrc.runtime.encode.tracks import TrackCopier, track_units
from vsrc.runtime.encode.video_stream import VideoSettings, add_video_stream
from vsrc.runtime.errors import HardwareError, MediaError
from vsrc.runtime.hashing import file_state
from vsrc.runtime.pending_file import PendingFile, failures_named
from vsrc.runtime.picture.deep_colour import bits_of, frame_maker
from vsrc.runtime.picture.hdr import NO_HDR, hdr_options
from vsrc.runtime.pyav_versions import open_output
from vsrc.runtime.text.size_text import format_size

if TYPE_CHECKING:
    import av
    from av.container import InputContainer, OutputContainer

_BUFFER_BYTES = 1 << 20

_LONGEST_DURATION = (1 << 31) - 1
"""Longest display of a frame that is given to an encoder, units of its time base; libvpx refuses a
longer one. The next time stamp ends it anyway."""

_LONG = 600
"""Length of a source from which on its gaps may be too long for a container, seconds."""


class VideoWriter:
    """Encodes one video file, which appears under its name when it is complete.

    Attributes:
        summary: Encoder, pixel format and size.
        path: Path of the file.
        notes: Lines to report to the user: what could not be kept.
        most: Longest segment, frames.

    Args:
        path: Path of the file.
        reader: Source.
        settings: Encoding options.
        store: Store for finished segments.
        overwrite: Whether to replace an existing file when the result is complete.
    """

    def __init__(
        self,
        path: Path,
        reader: Reader,
        settings: VideoSettings,
        store: SegmentStore | None = None,
        *,
        overwrite: bool = True,
    ) -> None:
        self.path = path
        self._overwrite = overwrite
        self._before = file_state(path)
        self._reader = reader
        self._info = reader.info
        self._settings = settings
        self._source = reader.container
        self._store = store
        self._is_excerpt = settings.is_excerpt
        self._time_base = reader.info.time_base / settings.time_scale
        self.notes: list[str] = []
        self._grid: avi.FrameGrid | None = None
        self._began = False
        self._start: Fraction | None = None
        self._shift = self._end = Fraction(0)
        muxer = muxer_of(path)
        with failures_named(path):
            self._pending = PendingFile(path)
        self._container: OutputContainer | None = None
        try:
            self._open(muxer)
        except BaseException:
            self.discard()
            raise

    def write(self, frame: ResultFrame, /) -> None:
        """Encode a frame, and copy packets of other tracks up to its time."""
        if self._tracks:
            self._tracks.hold(frame.packets)
        if not frame.counts:
            return
        with failures_named(self.path):
            if not self._began:
                self.begin(frame.pts)
            with self._device_failures():
                packets = self._segments.encode(self.picture(frame), frame)
            self._mux(packets, stop=self._end)
            self._end = (frame.pts + frame.duration) * self._time_base

    def finish(self) -> None:
        """Flush the encoder, write the index, and rename the file."""
        with failures_named(self.path):
            with self._device_failures():
                packets = self._segments.finish()
            self._mux(packets, stop=self._end if self._is_excerpt else None)
            self._release(stop=self._end if self._is_excerpt else None)
            if self._tracks:
                self._tracks.finish()
                self._check_empty(self._tracks)
            self._output.close()
            if self._grid:
                self._grid.write_start(self._pending.file)
            self._display_size.write(self._pending.file)
            # A result that has appeared or changed meanwhile is another job's.
            is_same = self._before is not None and file_state(self.path) == self._before
            self._pending.commit(overwrite=self._overwrite and is_same)
            self.notes += self._tracks.losses(self._reader.joints) if self._tracks else []
            self.notes += self._grid.notes() if self._grid else []
            self.notes += [note for note in self._frame_data.notes if note not in self.notes]
            if self._store is not None:
                self._store.remove()

    def _check_empty(self, tracks: TrackCopier) -> None:
        """Raise if the muxer writes no file because a track of it is empty.

        Raises:
            MediaError: It does not.
        """
        empty = tracks.empty_tracks()
        if empty and self._output.format.name in WITHOUT_START:
            raise MediaError(
                f"{self.path} cannot be written, because {len(empty)} of its audio tracks would be "
                "empty: nothing of them is in this part; add --audio drop, or name the output .mkv"
            )
        self.notes += empty

    @property
    def kept(self) -> SegmentTotals:
        """Return the totals of the segments so far."""
        return self._store.kept if self._store else SegmentTotals()

    def is_kept(self, number: int, /) -> bool:
        """Whether a segment contains this frame."""
        return self._store is not None and self._store.covers(number)

    def kept_states(self) -> KeptStates | None:
        """Return the states at the borders of segments."""
        if self._store is None:
            return None
        counter = SegmentCounter(partial(ends_segment, most=self.most))
        return KeptStates(self._store, counter, next_missing=self._store.next_missing)

    def begin(self, first_pts: int) -> None:
        """Set what depends on the first frame, and write the header."""
        self._began = True
        if self._is_excerpt:
            self._start = first_pts * self._time_base
            self._shift += self._start - self._info.start * self._info.time_base
        if self._output.format.name in WITHOUT_STAMPS:
            # The first frame lies on the grid, and all tracks keep their distance to it.
            first = self._shifted(first_pts) * self._time_base
            self._shift += first % self._encoded.time_base
            self._grid = avi.FrameGrid(
                1 / self._encoded.time_base,
                self._time_base,
                first=self._shifted(first_pts),
                has_gaps=self._output.format.name == avi.MUXER,
            )
        if self._source is not None:
            copy_chapters(self._source, self._output, start=self._start, shift=self._shift)
        self._write_header()

    @contextmanager
    def _device_failures(self) -> Iterator[None]:
        """Turn failures of an encoder that reads on a device into those of its hardware.

        Raises:
            HardwareError: It failed; from host memory it may succeed.
        """
        import av

        try:
            yield
        except av.FFmpegError as error:
            if self._settings.device is None:
                raise
            raise HardwareError(f"NVENC failed on frames of the GPU ({error.strerror})") from error

    def _write_header(self) -> None:
        import av

        try:
            self._output.start_encoding()
        except av.FFmpegError as error:
            tracks = select_copied_tracks(self._source) if self._source else []
            reason = explain_refusal(
                self._output,
                lambda other: add_video_stream(other, self._info, self._settings),
                self._encoded.stream.codec_context.codec.canonical_name,
                tracks,
            )
            if reason is None:
                raise
            raise MediaError(f"{self.path}: no header can be written: {reason}") from error

    def picture(self, frame: ResultFrame) -> av.VideoFrame | None:
        """Convert a frame for the encoder; None for a frame that is kept."""
        pts = self._shifted(frame.pts)
        if self._grid:
            pts = self._grid.place(pts)
        if frame.surface is not None:
            picture = frame.surface.frame()
        elif frame.rgb is not None:
            picture = self._from_rgb(self._encoded.orientation.upright(frame.rgb))
            picture = self._frame_data.attach(picture, frame.carrier)
        else:
            return None
        picture.time_base = self._encoded.time_base
        picture.pts = pts
        picture.duration = 1 if self._grid else min(frame.duration, _LONGEST_DURATION)
        return picture

    def _shifted(self, pts: int) -> int:
        return pts - round(self._shift / self._time_base)

    def segments(self, first: int) -> SegmentedEncoder:
        """Return an encoder of frames from `first` on, whose segments stay in the store."""
        return SegmentedEncoder(self._encoded.fresh, self._store, most=self.most, first=first)

    def discard(self) -> None:
        """Remove the unfinished file, but not its segments."""
        self._pending.discard()
        if self._container is not None:
            # The file is already closed, so that PyAV cannot write an index to it.
            self._container.close()

    def _open(self, muxer: str) -> None:
        tags, tag_options, lost_tags = choose_tags(self._source, muxer)
        times = self._mov_times(muxer)
        self._settings = replace(self._settings, reorders=times.reorders)
        units = [self._time_base, *(track_units(self._source) if self._source else ())]
        self._container = self._output = open_output(
            self._pending.file,
            muxer,
            options=muxer_options(muxer, units) | tag_options | times.options,
            buffer_bytes=_BUFFER_BYTES,
        )
        self._encoded = add_video_stream(self._output, self._info, self._settings)
        context = self._encoded.stream.codec_context
        assert context.pix_fmt is not None
        self.summary = (
            f"{context.name} {context.pix_fmt} {format_size(context.width, context.height)}"
        )
        if self._info.hdr.is_dynamic:
            self.notes.append("HDR metadata of single frames (HDR10+, Dolby Vision) is left out")
        elif self._info.hdr != NO_HDR and not hdr_options(context.name, self._info.hdr):
            self.notes.append(f"{context.name} cannot store HDR mastering metadata")
        if (bits := bits_of(context.pix_fmt)) < min(self._encoded.depth, 16):
            self.notes.append(
                f"{context.name} cannot keep {self._info.depth} bits: written in {bits}"
            )
        held = self._output.supported_codecs
        self._frame_data = FrameDataEncoder(context.name, self._info.frame_data, held)
        self.notes += self._frame_data.notes
        self._from_rgb = frame_maker(
            self._encoded.colour,
            width=context.width,
            height=context.height,
            pix_fmt=self._encoded.pix_fmt,
            is_left=context.name != "mjpeg",
        )
        self.most = frames_per_segment(
            context.name, width=context.width, height=context.height, rate=self._info.rate
        )
        self._segments = self.segments(0)
        self._output.metadata.update(tags)
        self._tracks: TrackCopier | None = None
        if self._source is not None:
            self._tracks = self._open_tracks(self._source, muxer)
        self._display_size = DisplaySize(self._encoded.stream)
        self.notes += [lost_tags] if lost_tags else []

    def _open_tracks(self, source: InputContainer, muxer: str) -> TrackCopier:
        """Copy the tags of the video, and add the other tracks to the output."""
        stream, index = self._encoded.stream, self._info.index
        copy_tags(source.streams[index], stream)
        rate = self._info.rate * self._settings.time_scale
        tracks = TrackCopier(source, self._output, video=index, audio=self._settings.audio)
        timecode = check_timecode(stream.metadata, muxer, rate)
        notes = (*tracks.notes, check_chapters(source, muxer), timecode)
        self.notes += [note for note in notes if note]
        self._set_start(source, muxer)
        return tracks

    def _set_start(self, source: InputContainer, muxer: str) -> None:
        """Set which time of the source becomes which time of the result."""
        begin = self._info.start * self._info.time_base
        has_own_clock = source.format.name in WITH_OWN_CLOCK
        if self._info.skipped:  # the other tracks begin with the first clean picture, too
            self._start = begin
        if muxer in WITHOUT_START:
            self._shift = begin
        elif has_own_clock and muxer not in WITH_OWN_CLOCK:
            self._shift = begin if self._info.skipped else find_start(source)
        elif not has_own_clock:
            self._shift = self._info.skipped or (
                find_start(source) if muxer in WITHOUT_STAMPS else Fraction(0)
            )

    def _mov_times(self, muxer: str) -> MovTimes:
        """Choose how MP4 and MOV store the times of a source with a long gap.

        Raises:
            MediaError: The container cannot store the gap.
        """
        # Players read B-frames of Smooth Streaming a frame too late.
        info, usual = self._info, MovTimes({}, reorders=muxer != SMOOTH)
        if info.duration is None or info.duration < _LONG or info.container == "pictures":
            return usual
        scan = scan_packets(Path(info.path))
        if scan is None:
            return usual
        if not self._is_excerpt:
            check_gap(self.path, muxer, scan, rate=info.rate * self._settings.time_scale)
        return choose_mov_times(scan, time_base=self._time_base) if muxer in MOV_FAMILY else usual

    def _mux(self, packets: list[StoredPacket], *, stop: Fraction | None) -> None:
        """Mux a complete segment, with the packets of the other tracks up to `stop`."""
        import av

        if not packets:
            return
        self._release(stop=stop)
        for stored in packets:
            packet = av.Packet(stored.data)
            packet.pts, packet.dts, packet.duration = stored.pts, stored.dts, stored.duration
            packet.time_base, packet.is_keyframe = self._encoded.time_base, stored.is_key
            packet.stream = self._encoded.stream
            try:
                self._output.mux(packet)
            except av.PatchWelcomeError as error:
                raise MediaError(
                    f"{self.path}: {self._output.format.name} cannot store the gap in time before "
                    f"{describe_seconds(stored.pts * self._encoded.time_base)}; name the output "
                    ".mkv"
                ) from error

    def _release(self, *, stop: Fraction | None) -> None:
        if self._tracks:
            self._tracks.release(start=self._start, stop=stop, shift=self._shift)
